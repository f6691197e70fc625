//! A copy of a message as a HEP v3 packet (Homer Encapsulation Protocol): the bytes alone, no queue and no socket.
//!
//! A packet is `HEP3`, its length, and chunks. A chunk is vendor (0), type, length (including these six octets), value. Numbers
//! are in network order.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::config::Transport;
use crate::sip::{Message, Name};

/// The first octets of every packet.
pub(crate) const MAGIC: &[u8] = b"HEP3";

/// The longest packet that a datagram carries over IPv4: 65535 less the IP and UDP headers.
const LONGEST: usize = 65_507;

/// What a packet says of a message, beside the message's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// The transport that carried it. A message inside TLS is marked as TCP.
    pub transport: Transport,
    /// The address that sent it.
    pub from: SocketAddr,
    /// The address that it was sent to.
    pub to: SocketAddr,
    /// When it was received or sent.
    pub at: SystemTime,
    /// Which node saw it (`[hep] node`).
    pub node: u32,
}

/// Writes the packet into `out`, replacing its content. `false`: it does not fit into a datagram.
pub fn write(envelope: &Envelope, message: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 2]);
    match (envelope.from.ip(), envelope.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(out, 0x01, &[2]);
            chunk(out, 0x03, &from.octets());
            chunk(out, 0x04, &to.octets());
        }
        (from, to) => {
            let v6 = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            chunk(out, 0x01, &[10]);
            chunk(out, 0x05, &v6(from));
            chunk(out, 0x06, &v6(to));
        }
    }
    // IP protocols: what is inside TLS is shown as SIP over TCP.
    chunk(out, 0x02, &[if envelope.transport.reliable() { 6 } else { 17 }]);
    chunk(out, 0x07, &envelope.from.port().to_be_bytes());
    chunk(out, 0x08, &envelope.to.port().to_be_bytes());
    let at = envelope.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // Seconds wrap in 2106: the format has no more octets.
    chunk(out, 0x09, &u32::try_from(at.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    chunk(out, 0x0a, &at.subsec_micros().to_be_bytes());
    // SIP.
    chunk(out, 0x0b, &[1]);
    chunk(out, 0x0c, &envelope.node.to_be_bytes());
    let whole = chunk(out, 0x0f, message) && call_id(message).is_none_or(|id| chunk(out, 0x11, id));
    let length = u16::try_from(out.len()).ok().filter(|&length| whole && usize::from(length) <= LONGEST);
    if let (Some(length), Some(place)) = (length, out.get_mut(4..6)) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    length.is_some()
}

/// The Call-ID, which ties the messages of a call together. A message that cannot be read has none.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    let message = Message::datagram(message).ok()?;
    message.first(Name::CallId).map(|header| message.value(header))
}

/// Appends a chunk. `false`: the value is longer than a chunk can be.
fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) -> bool {
    let Some(length) = u16::try_from(value.len()).ok().and_then(|length| length.checked_add(6)) else { return false };
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYE: &[u8] = b"BYE sip:b SIP/2.0\r\nCall-ID: a@b\r\n\r\n";

    fn envelope(from: &str, to: &str, transport: Transport) -> Envelope {
        let at = SystemTime::UNIX_EPOCH + Duration::new(0x0102_0304, 0x000a_0b0c * 1000);
        Envelope { transport, from: from.parse().unwrap(), to: to.parse().unwrap(), at, node: 101 }
    }

    #[test]
    fn every_octet_stands_where_the_format_says() {
        let mut out = b"what was there before".to_vec();
        assert!(write(&envelope("192.0.2.1:5060", "198.51.100.7:5080", Transport::Udp), BYE, &mut out));
        let expected: &[&[u8]] = &[
            b"HEP3",
            &[0, 143],
            &[0, 0, 0, 0x01, 0, 7, 2],
            &[0, 0, 0, 0x03, 0, 10, 192, 0, 2, 1],
            &[0, 0, 0, 0x04, 0, 10, 198, 51, 100, 7],
            &[0, 0, 0, 0x02, 0, 7, 17],
            &[0, 0, 0, 0x07, 0, 8, 0x13, 0xc4],
            &[0, 0, 0, 0x08, 0, 8, 0x13, 0xd8],
            &[0, 0, 0, 0x09, 0, 10, 1, 2, 3, 4],
            &[0, 0, 0, 0x0a, 0, 10, 0, 0x0a, 0x0b, 0x0c],
            &[0, 0, 0, 0x0b, 0, 7, 1],
            &[0, 0, 0, 0x0c, 0, 10, 0, 0, 0, 101],
            &[0, 0, 0, 0x0f, 0, 41],
            BYE,
            &[0, 0, 0, 0x11, 0, 9],
            b"a@b",
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn streams_and_ipv6_are_told_apart() {
        let mut out = Vec::new();
        assert!(write(&envelope("[2001:db8::1]:5060", "[2001:db8::2]:5061", Transport::Tcp), BYE, &mut out));
        let v6 = |last| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        let start =
            [&[0, 0, 0, 1, 0, 7, 10, 0, 0, 0, 5, 0, 22][..], &v6(1), &[0, 0, 0, 6, 0, 22], &v6(2), &[0, 0, 0, 2, 0, 7, 6]];
        assert!(out.get(6..).unwrap().starts_with(&start.concat()), "{out:x?}");
        // A source of another family than its goal cannot be; were it, nothing would be cut short.
        assert!(write(&envelope("192.0.2.1:5060", "[2001:db8::2]:5061", Transport::Udp), BYE, &mut out));
        assert!(out.windows(6).any(|six| six == [0xff, 0xff, 192, 0, 2, 1]));
    }

    #[test]
    fn what_is_no_sip_is_shown_without_a_call_and_what_is_too_long_not_at_all() {
        let (mut out, envelope) = (Vec::new(), envelope("192.0.2.1:5060", "198.51.100.7:5080", Transport::Udp));
        assert!(write(&envelope, b"\x16\x03\x01", &mut out));
        assert!(out.ends_with(b"\x16\x03\x01"));
        assert!(write(&envelope, &vec![b'a'; 65_400], &mut out));
        assert!(!write(&envelope, &vec![b'a'; 65_507], &mut out));
        assert!(!write(&envelope, &vec![b'a'; 70_000], &mut out));
    }
}
