//! What counts as one source. Only compares addresses.

use std::net::{IpAddr, Ipv6Addr};

use crate::fence::canonical;

/// The bits of an IPv6 address that name a network. A sender that has one of its addresses has them all (RFC 6177, RFC 8981).
const NETWORK: u32 = 64;

/// The address under which a source is counted: an IPv4 address is one source, and so is an IPv6 network of 64 bits.
pub(crate) fn counted_as(ip: IpAddr) -> IpAddr {
    match canonical(ip) {
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(NETWORK).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !host))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_source() {
        let as_one = |one: &str, two: &str| counted_as(one.parse().unwrap()) == counted_as(two.parse().unwrap());
        assert!(as_one("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!as_one("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!as_one("192.0.2.1", "192.0.2.2"));
        assert!(as_one("192.0.2.1", "::ffff:192.0.2.1") && as_one("192.0.2.1", "64:ff9b::192.0.2.1"));
        assert!(!as_one("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"), "each is an IPv4 address");
    }
}
