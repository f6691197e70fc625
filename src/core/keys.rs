//! Keyed hashes: values that a stranger must not be able to forge, guess or make collide.
//!
//! There are two keys. The operator's secret is the same on every node of a region (route tokens, To-tags, loop detection). The
//! seed is made at start (table keys, branches). `SipHash` is a PRF for short inputs, which is all that a tag needs. What others see
//! and could try to forge is made with `SipHash`-2-4. The keys of our own tables are never seen: for them `SipHash`-1-3 is enough,
//! which is also what Rust's own maps use.

use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::config::Config;

use siphasher::sip::{SipHasher13, SipHasher24};
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13x128};

use crate::config::{NextHop, Transport};

/// The purpose of a hash. It stands first in every input, so that a hash made for one purpose is worthless for another.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Purpose {
    Table = 1,
    Branch,
    Loop,
    ToTag,
    Route,
    Trunk,
    Call,
    Name,
    Choice,
    Probe,
    Relay,
    RelayRequestId,
    Waiting,
    Spread,
}

/// The keys of one core.
#[derive(Debug)]
pub(crate) struct Keys {
    secret: [u8; 16],
    seed: [u8; 16],
}

impl Keys {
    pub(crate) fn new(secret: [u8; 16], seed: [u8; 16]) -> Self {
        Self { secret, seed }
    }

    /// The keys of a configuration. Hashes that other nodes need use its secret, all others the seed.
    pub(crate) fn of(config: &Config, seed: [u8; 16]) -> Self {
        Self::new(config.secret.as_ref().map_or(seed, |secret| secret.0), seed)
    }

    /// A transaction's place in the table.
    pub(crate) fn table(&self, parts: &[&[u8]]) -> u128 {
        hash128(&self.seed, Purpose::Table, parts)
    }

    /// The unguessable part of a branch.
    pub(crate) fn branch(&self, parts: &[&[u8]]) -> u64 {
        hash64(&self.seed, Purpose::Branch, parts)
    }

    /// The hash that shows that a request has come back unchanged (RFC 3261 16.6 step 8, RFC 5393 4.2).
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    pub(crate) fn loop_hash<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        absorb(&mut hasher, Purpose::Loop, parts);
        hasher.finish() as u32
    }

    /// The To-tag of our own answers: the same for every retransmission, on every node.
    pub(crate) fn to_tag(&self, call_id: &[u8], from_tag: &[u8]) -> Hex {
        Hex::of(hash64(&self.secret, Purpose::ToTag, &[call_id, from_tag]))
    }

    /// The signature of a route token.
    pub(crate) fn route(&self, parts: &[&[u8]]) -> u64 {
        hash64(&self.secret, Purpose::Route, parts)
    }

    /// Two signatures of route tokens that begin alike. What they share is hashed once.
    pub(crate) fn route_pair(&self, shared: &[&[u8]], ends: [&[&[u8]]; 2]) -> [u64; 2] {
        let mut begun = SipHasher24::new_with_key(&self.secret);
        absorb(&mut begun, Purpose::Route, shared.iter().copied());
        ends.map(|end| {
            let mut hasher = begun;
            absorb_parts(&mut hasher, end.iter().copied());
            hasher.finish()
        })
    }

    /// A trunk's name in route tokens, for calls to the region `called` that the region `serving` serves.
    pub(crate) fn trunk(&self, called: &str, serving: &str, project: &str, trunk: &str) -> u64 {
        let parts = [called.as_bytes(), serving.as_bytes(), project.as_bytes(), trunk.as_bytes()];
        hash64(&self.secret, Purpose::Trunk, &parts)
    }

    /// A relay's tag in route tokens, never 0. If two relays share a tag, a call may ask the wrong one first, which costs one
    /// more question.
    pub(crate) fn relay(&self, addr: SocketAddr) -> u16 {
        let port = addr.port().to_le_bytes();
        let hash = match addr.ip() {
            IpAddr::V4(ip) => hash64(&self.secret, Purpose::Relay, &[&ip.octets(), &port]),
            IpAddr::V6(ip) => hash64(&self.secret, Purpose::Relay, &[&ip.octets(), &port]),
        };
        let [low, high, ..] = hash.to_le_bytes();
        u16::from_le_bytes([low, high]).max(1)
    }

    /// The number of a question to a relay. A retransmitted message gives the same number, so that the relay gives the same
    /// answer.
    pub(crate) fn relay_request(&self, parts: &[&[u8]]) -> u128 {
        hash128(&self.seed, Purpose::RelayRequestId, parts)
    }

    /// The key of a call, by its Call-ID.
    pub(crate) fn waiting(&self, call_id: &[u8]) -> u128 {
        hash128(&self.seed, Purpose::Waiting, &[call_id])
    }

    /// The key of one request of a call. A retransmission has the same.
    pub(crate) fn instance(&self, key: u128, cseq: u32) -> u128 {
        self.table(&[&key.to_le_bytes(), &cseq.to_le_bytes()])
    }

    /// The key of a call that may come again.
    pub(crate) fn call(&self, call_id: &[u8], from_tag: &[u8]) -> u128 {
        hash128(&self.seed, Purpose::Call, &[call_id, from_tag])
    }

    /// The key of a next hop that was looked up.
    pub(crate) fn name(&self, next_hop: &NextHop) -> u128 {
        let port = next_hop.port.unwrap_or(0).to_le_bytes();
        let transport = if next_hop.secure { "sips" } else { next_hop.transport.map_or("", Transport::token) };
        hash128(&self.seed, Purpose::Name, &[next_hop.host.as_bytes(), &port, transport.as_bytes()])
    }

    /// The number by which a call is spread over servers. It is the same if the call comes again, on every node and after a restart: with
    /// credentials it must come to the gateway that asked for them (RFC 3261 22.3).
    pub(crate) fn spread(&self, call_id: &[u8], from_tag: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        absorb(&mut hasher, Purpose::Spread, [call_id, from_tag].into_iter());
        hasher.finish()
    }

    /// Where the dice of one transaction start. They mix it before each roll.
    pub(crate) fn chance(&self, serial: u64) -> u64 {
        let [low @ .., _, _, _, _, _, _, _, _] = self.seed;
        u64::from_le_bytes(low).wrapping_add(serial.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// A number that stands for chance in a choice. The same input gives the same number.
    pub(crate) fn choice(&self, of: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        absorb(&mut hasher, Purpose::Choice, std::iter::once(of));
        hasher.finish()
    }

    /// An unguessable number for the ping with this number. `part` separates its branch, Call-ID and tag.
    pub(crate) fn probe(&self, number: u64, part: u8) -> u64 {
        hash64(&self.seed, Purpose::Probe, &[&number.to_le_bytes(), &[part]])
    }
}

fn hash64(key: &[u8; 16], purpose: Purpose, parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    absorb(&mut hasher, purpose, parts.iter().copied());
    hasher.finish()
}

fn hash128(key: &[u8; 16], purpose: Purpose, parts: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher13x128::new_with_key(key);
    absorb(&mut hasher, purpose, parts.iter().copied());
    hasher.finish128().as_u128()
}

fn absorb<'a>(hasher: &mut impl Hasher, purpose: Purpose, parts: impl Iterator<Item = &'a [u8]>) {
    let mut input = Pieces { octets: [0; 256], used: 0 };
    input.take(hasher, &[purpose as u8]);
    input.absorb(hasher, parts);
}

fn absorb_parts<'a>(hasher: &mut impl Hasher, parts: impl Iterator<Item = &'a [u8]>) {
    Pieces { octets: [0; 256], used: 0 }.absorb(hasher, parts);
}

/// What is to be hashed, in large pieces: a hasher spends more on taking up a short piece than on hashing it.
struct Pieces {
    octets: [u8; 256],
    used: usize,
}

impl Pieces {
    fn absorb<'a>(mut self, hasher: &mut impl Hasher, parts: impl Iterator<Item = &'a [u8]>) {
        for part in parts {
            // The length first, so that parts cannot be shifted against each other.
            self.take(hasher, &u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            self.take(hasher, part);
        }
        self.flush(hasher);
    }

    #[inline]
    fn take(&mut self, hasher: &mut impl Hasher, part: &[u8]) {
        let end = self.used.saturating_add(part.len());
        if let Some(room) = self.octets.get_mut(self.used..end) {
            room.copy_from_slice(part);
            self.used = end;
        } else {
            self.flush(hasher);
            hasher.write(part);
        }
    }

    fn flush(&mut self, hasher: &mut impl Hasher) {
        hasher.write(self.octets.get(..self.used).unwrap_or_default());
        self.used = 0;
    }
}

/// A hasher for maps whose key is a keyed hash already: hashing again would protect nothing.
pub(crate) type Keyed = BuildHasherDefault<Half>;

/// Uses half of a keyed hash as the hash.
#[derive(Debug, Default)]
pub(crate) struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Sixteen lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex([u8; 16]);

impl Hex {
    /// In octets.
    pub(crate) const LENGTH: usize = 16;

    pub(crate) fn of(value: u64) -> Self {
        let mut digits = [0; 16];
        write_hex(value, &mut digits);
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes the low digits of a value, as many as `digits` has room for.
pub(crate) fn write_hex(value: u64, digits: &mut [u8]) {
    for (digit, place) in digits.iter_mut().rev().zip(0_u32..16) {
        let nibble = value.wrapping_shr(place * 4).to_le_bytes()[0] & 0xf;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) };
    }
}

/// Reads at most sixteen lower-case hexadecimal digits. Upper case is refused: each value has one spelling, so no altered token
/// reads as the original.
pub(crate) fn read_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_has_one_spelling() {
        for value in [0, 1, 0xdead_beef, u64::MAX] {
            assert_eq!(read_hex(Hex::of(value).as_bytes()), Some(value));
        }
        assert_eq!(read_hex(b"DEADBEEF"), None);
        assert_eq!(read_hex(b""), None);
        assert_eq!(read_hex(b"00000000000000000"), None);
        let mut short = [0; 4];
        write_hex(0x1_2345, &mut short);
        assert_eq!(&short, b"2345");
    }

    /// Nodes of different versions share the secret: what the versions before signed is still read.
    #[test]
    fn a_signature_stays_what_it_is() {
        let keys = Keys::new([1; 16], [2; 16]);
        assert_eq!(keys.route(&[b"03", b"4711@host", b"tag"]), 0xc181_0faa_ef6d_61c2);
        let [one, other] = keys.route_pair(&[b"03"], [&[b"4711@host", b"tag"], &[b"x"]]);
        assert_eq!((one, other), (keys.route(&[b"03", b"4711@host", b"tag"]), keys.route(&[b"03", b"x"])));
    }

    #[test]
    fn parts_do_not_shift_and_purposes_do_not_mix() {
        let keys = Keys::new([1; 16], [2; 16]);
        assert_ne!(keys.call(b"ab", b"c"), keys.call(b"a", b"bc"));
        assert_ne!(keys.branch(&[b"a"]), keys.route(&[b"a"]));
    }
}
