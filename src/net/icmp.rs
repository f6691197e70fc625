//! Finds the attempt that an ICMP error is about.
//!
//! Remembers the heads of the last datagrams to each of the last addresses. An error counts only if it quotes one of these heads:
//! to forge an error, a stranger would have to know a branch that the stranger never saw.

use std::net::SocketAddr;

use crate::core::io::Attempt;

/// Addresses remembered. Beyond that, the oldest is forgotten, and only timers notice its failures.
const ADDRESSES: usize = 64;
/// Datagrams remembered for each address.
const DATAGRAMS: usize = 32;
/// Octets remembered of each datagram: enough for a start line and the branch.
const HEAD: usize = 256;
/// The least octets that an error must quote.
const LEAST: usize = 64;

/// The last datagrams, by address.
#[derive(Debug, Default)]
pub(super) struct SentDatagrams {
    addresses: Vec<(SocketAddr, Ring)>,
    next: usize,
}

#[derive(Debug, Default)]
struct Ring {
    datagrams: Vec<Datagram>,
    next: usize,
}

#[derive(Debug)]
struct Datagram {
    attempt: Attempt,
    length: usize,
    head: [u8; HEAD],
}

impl Datagram {
    fn of(attempt: Attempt, bytes: &[u8]) -> Self {
        let mut head = [0; HEAD];
        let length = bytes.len().min(HEAD);
        if let (Some(to), Some(from)) = (head.get_mut(..length), bytes.get(..length)) {
            to.copy_from_slice(from);
        }
        Self { attempt, length, head }
    }

    fn is_quoted_by(&self, quote: &[u8]) -> bool {
        let length = self.length.min(quote.len());
        length >= LEAST && self.head.get(..length) == quote.get(..length)
    }
}

impl SentDatagrams {
    /// Remembers a datagram that was sent for an attempt.
    pub(super) fn remember(&mut self, to: SocketAddr, attempt: Attempt, bytes: &[u8]) {
        let datagram = Datagram::of(attempt, bytes);
        if let Some((_, ring)) = self.addresses.iter_mut().find(|(addr, _)| *addr == to) {
            replace(&mut ring.datagrams, &mut ring.next, DATAGRAMS, datagram);
        } else {
            let ring = Ring { datagrams: vec![datagram], next: 0 };
            replace(&mut self.addresses, &mut self.next, ADDRESSES, (to, ring));
        }
    }

    /// The attempt whose datagram an error quotes. Each datagram is found only once.
    pub(super) fn failed(&mut self, to: SocketAddr, quote: &[u8]) -> Option<Attempt> {
        let (_, ring) = self.addresses.iter_mut().find(|(addr, _)| *addr == to)?;
        let datagram = ring.datagrams.iter_mut().find(|datagram| datagram.is_quoted_by(quote))?;
        datagram.length = 0;
        Some(datagram.attempt)
    }
}

/// Adds an item. If there are `most` already, it replaces the oldest.
fn replace<T>(items: &mut Vec<T>, next: &mut usize, most: usize, item: T) {
    if items.len() < most {
        items.push(item);
    } else if let Some(oldest) = items.get_mut(*next) {
        *oldest = item;
        *next = (*next + 1) % most;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(branch: u64) -> Vec<u8> {
        format!("INVITE sip:x@eu.sip.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{branch:08}\r\n\r\n").into()
    }

    #[test]
    fn the_quoted_datagram_fails_and_no_other() {
        let (mut sent, to) = (SentDatagrams::default(), "127.0.0.1:5070".parse().unwrap());
        for at in 0..3 {
            sent.remember(to, Attempt(at), &message(at));
        }
        assert_eq!(sent.failed(to, &message(1)), Some(Attempt(1)));
        assert_eq!(sent.failed(to, &message(1)), None, "told once");
        assert_eq!(sent.failed(to, &message(7)), None, "never sent");
        assert_eq!(sent.failed("127.0.0.2:5070".parse().unwrap(), &message(2)), None, "not sent there");
        assert_eq!(sent.failed(to, &message(2)[..LEAST - 1]), None, "quotes too little");
        assert_eq!(sent.failed(to, b""), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut sent = SentDatagrams::default();
        for at in 0..10_000_u64 {
            let to = SocketAddr::from(([127, 0, 0, 1], 1 + u16::try_from(at % 100).unwrap()));
            sent.remember(to, Attempt(at), &message(at));
        }
        assert_eq!(sent.addresses.len(), ADDRESSES);
        assert!(sent.addresses.iter().all(|(_, ring)| ring.datagrams.len() <= DATAGRAMS));
        let to = SocketAddr::from(([127, 0, 0, 1], 100));
        assert_eq!(sent.failed(to, &message(9_999)), Some(Attempt(9_999)), "the newest is there");
    }
}
