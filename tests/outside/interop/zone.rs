//! What the name servers of a test are told: records below `internal.example`.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::Site;

/// Every change of a zone has a serial number above those before it.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// Writes the zone file with these records, one a line, and returns its name. "No such record" holds for a second.
pub(super) fn write(site: &Site, ttl: u32, records: &str) -> &'static str {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let zone = format!(
        "$ORIGIN internal.example.\n$TTL {ttl}\n@ IN SOA ns hostmaster {serial} 3600 600 86400 1\n@ IN NS ns\nns IN A 127.0.0.1\n{records}"
    );
    site.write("internal.zone", &zone);
    "internal.zone"
}

/// The addresses of a name.
pub(super) fn addresses(name: &str, addresses: &[IpAddr]) -> String {
    let record = |address: &IpAddr| format!("{name} IN {} {address}\n", if address.is_ipv4() { "A" } else { "AAAA" });
    addresses.iter().map(record).collect()
}

/// The servers of a name over UDP: priority, weight, address. Each has a name of its own, `NAME-LAST_OCTET`.
pub(super) fn servers(name: &str, servers: &[(u16, u16, SocketAddr)]) -> String {
    let mut records = String::new();
    for (priority, weight, addr) in servers {
        let IpAddr::V4(ip) = addr.ip() else { panic!("IPv4 alone") };
        let target = format!("{name}-{}", ip.octets()[3]);
        writeln!(records, "_sip._udp.{name} IN SRV {priority} {weight} {} {target}", addr.port()).unwrap();
        records.push_str(&addresses(&target, &[addr.ip()]));
    }
    records
}
