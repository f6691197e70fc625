//! A name server on loopback for tests: says what its zone holds, over UDP alone, and fails where it is told to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// What a record says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data {
    /// A or AAAA.
    Address(&'static str),
    /// The name that it stands for.
    Cname(&'static str),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, &'static str),
    /// Order, preference, services, replacement; the flags are `s`.
    Naptr(u16, u16, &'static str, &'static str),
    /// No record: SERVFAIL, whatever is asked of the name.
    Fails,
}

/// A name, how long its record holds, and what that says.
pub(crate) type Record = (&'static str, u32, Data);

/// Starts a server that ends with the test's process.
pub(crate) fn start(zone: &'static [Record]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer(&buffer[..length], zone), from);
        }
    });
    addr
}

/// RFC 1035 4: the question back, with what the zone says of it.
fn answer(query: &[u8], zone: &[Record]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|&octet| octet == 0).unwrap() + 1;
    let kind = u16::from_be_bytes([query[end], query[end + 1]]);
    let mut name = text(&query[12..end]);
    let (mut records, mut seen) = (Vec::new(), BTreeSet::new());
    // Aliases are followed, each once.
    while seen.insert(name.clone()) {
        let of_name = || zone.iter().filter(|record| record.0 == name);
        records.extend(of_name().filter(|record| kind_of(record.2) == kind).map(|record| (name.clone(), record)));
        let Some((record, target)) = of_name().find_map(|record| match record.2 {
            Data::Cname(target) => Some((record, target)),
            _ => None,
        }) else {
            break;
        };
        records.push((name.clone(), record));
        name = target.to_owned();
    }
    let known = |record: &&Record| record.0 == name || record.0.ends_with(&format!(".{name}"));
    let code = match zone.iter().find(known) {
        Some((_, _, Data::Fails)) => 2,
        Some(_) => 0,
        None => 3,
    };
    let mut out = query[..2].to_vec();
    out.extend([0x84, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(&query[12..end + 4]);
    for (owner, (_, ttl, data)) in records {
        out.extend(labels(&owner));
        out.extend(kind_of(*data).to_be_bytes());
        out.extend([0, 1]);
        out.extend(ttl.to_be_bytes());
        let octets = octets(*data);
        out.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
        out.extend(octets);
    }
    out
}

fn kind_of(data: Data) -> u16 {
    match data {
        Data::Address(address) if address.contains(':') => 28,
        Data::Address(_) => 1,
        Data::Cname(_) => 5,
        Data::Srv(..) => 33,
        Data::Naptr(..) => 35,
        Data::Fails => 0,
    }
}

fn octets(data: Data) -> Vec<u8> {
    match data {
        Data::Address(address) => match address.parse().unwrap() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        },
        Data::Cname(target) => labels(target),
        Data::Srv(priority, weight, port, target) => {
            [priority, weight, port].iter().flat_map(|number| number.to_be_bytes()).chain(labels(target)).collect()
        }
        Data::Naptr(order, preference, services, replacement) => {
            let numbers = [order, preference].iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
            [numbers, string("s"), string(services), string(""), labels(replacement)].concat()
        }
        Data::Fails => Vec::new(),
    }
}

/// RFC 1035 3.3: a character string.
fn string(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A name as labels, uncompressed.
fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty()).flat_map(string);
    labels.chain([0]).collect()
}

/// Labels as a name, lower case.
fn text(mut labels: &[u8]) -> String {
    let mut out = Vec::new();
    while let [length, rest @ ..] = labels
        && *length > 0
    {
        let (label, more) = rest.split_at(usize::from(*length));
        out.push(String::from_utf8_lossy(label).to_lowercase());
        labels = more;
    }
    out.join(".")
}
