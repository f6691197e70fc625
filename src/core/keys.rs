//! Keyed hashes: values that a stranger must not be able to forge, guess or make collide.
//!
//! There are two keys. The operator's secret is the same on every node of a region (route tokens, To-tags, loop detection). The
//! seed is made at start (table keys, branches). `SipHash` is a PRF for short inputs, which is all that a tag needs. What others see
//! and could try to forge is made with `SipHash`-2-4. The keys of our own tables are never seen: for them `SipHash`-1-3 is enough,
//! which is also what Rust's own maps use.

use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use siphasher::sip::{SipHasher13, SipHasher24};
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13x128};

use crate::config::{Config, NextHop, Transport};

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
    pub(crate) fn loop_hash(&self, parts: &[&[u8]]) -> u32 {
        hash13(&self.secret, Purpose::Loop, parts) as u32
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
        match OnePiece::of(Purpose::Route, shared.iter().copied()) {
            Some(input) => begun.write(&input),
            None => begun = in_pieces(begun, Purpose::Route, shared.iter().copied()),
        }
        ends.map(|end| {
            let mut hasher = begun;
            let mut input = OnePiece(ArrayVec::new());
            if input.take(end.iter().copied()) {
                hasher.write(&input);
            } else {
                absorb(&mut hasher, end.iter().copied());
            }
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
        hash13(&self.secret, Purpose::Spread, &[call_id, from_tag])
    }

    /// Where the dice of one transaction start. They mix it before each roll.
    pub(crate) fn chance(&self, serial: u64) -> u64 {
        let [low @ .., _, _, _, _, _, _, _, _] = self.seed;
        u64::from_le_bytes(low).wrapping_add(serial.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// A number that stands for chance in a choice. The same input gives the same number.
    pub(crate) fn choice(&self, of: &[u8]) -> u64 {
        hash13(&self.seed, Purpose::Choice, &[of])
    }

    /// An unguessable number for the ping with this number. `part` separates its branch, Call-ID and tag.
    pub(crate) fn probe(&self, number: u64, part: u8) -> u64 {
        hash64(&self.seed, Purpose::Probe, &[&number.to_le_bytes(), &[part]])
    }
}

fn hash64(key: &[u8; 16], purpose: Purpose, parts: &[&[u8]]) -> u64 {
    let hasher = SipHasher24::new_with_key(key);
    match OnePiece::of(purpose, parts.iter().copied()) {
        // In one piece, since a hasher spends more on taking up a short piece than on hashing it.
        Some(input) => hasher.hash(&input),
        None => in_pieces(hasher, purpose, parts.iter().copied()).finish(),
    }
}

fn hash128(key: &[u8; 16], purpose: Purpose, parts: &[&[u8]]) -> u128 {
    let hasher = SipHasher13x128::new_with_key(key);
    match OnePiece::of(purpose, parts.iter().copied()) {
        Some(input) => hasher.hash(&input).as_u128(),
        None => in_pieces(hasher, purpose, parts.iter().copied()).finish128().as_u128(),
    }
}

/// `SipHash`-1-3, for a hash that only has to be hard to guess.
fn hash13(key: &[u8; 16], purpose: Purpose, parts: &[&[u8]]) -> u64 {
    let hasher = SipHasher13::new_with_key(key);
    match OnePiece::of(purpose, parts.iter().copied()) {
        Some(input) => hasher.hash(&input),
        None => in_pieces(hasher, purpose, parts.iter().copied()).finish(),
    }
}

/// An input that is short enough to be hashed in one piece. Longer ones give the same hash, part by part.
struct OnePiece(ArrayVec<u8, 512>);

impl OnePiece {
    fn of<'a>(purpose: Purpose, parts: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut input = ArrayVec::new();
        input.push(purpose as u8);
        let mut input = Self(input);
        input.take(parts).then_some(input)
    }

    /// Appends parts. `false`: there is no room.
    #[inline]
    fn take<'a>(&mut self, mut parts: impl Iterator<Item = &'a [u8]>) -> bool {
        // The length first, so that parts cannot be shifted against each other.
        parts.all(|part| self.0.try_extend_from_slice(&length(part)).is_ok() && self.0.try_extend_from_slice(part).is_ok())
    }
}

impl std::ops::Deref for OnePiece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()
}

fn in_pieces<'a, H: Hasher>(mut hasher: H, purpose: Purpose, parts: impl Iterator<Item = &'a [u8]>) -> H {
    hasher.write(&[purpose as u8]);
    absorb(&mut hasher, parts);
    hasher
}

fn absorb<'a>(hasher: &mut impl Hasher, parts: impl Iterator<Item = &'a [u8]>) {
    for part in parts {
        hasher.write(&length(part));
        hasher.write(part);
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
        Self(hex_of(value))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes the low digits of a value, as many as `digits` has room for: sixteen at most.
pub(crate) fn write_hex(value: u64, digits: &mut [u8]) {
    let text = hex_of(value);
    let from = text.len().saturating_sub(digits.len());
    if let Some(text) = text.get(from..).filter(|text| text.len() == digits.len()) {
        digits.copy_from_slice(text);
    }
}

/// All sixteen digits. Each half is spread over eight octets, and each octet made a digit, all at once.
fn hex_of(value: u64) -> [u8; 16] {
    let digits = |half: u64| {
        let spread = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
        let spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // 1 in each octet that is above 9: there a letter stands.
        let letters = (spread + 0x0606_0606_0606_0606) >> 4 & EACH;
        (spread + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
    };
    let mut text = [0; 16];
    let (high, low) = text.split_at_mut(8);
    high.copy_from_slice(&digits(value >> 32));
    low.copy_from_slice(&digits(value & 0xffff_ffff));
    text
}

/// One in each octet.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Reads at most sixteen lower-case hexadecimal digits. Upper case is refused: each value has one spelling, so no altered token
/// reads as the original.
pub(crate) fn read_hex(digits: &[u8]) -> Option<u64> {
    let (high, low) = match digits.as_chunks() {
        ([high, low], []) => (*high, *low),
        ([low], []) => ([b'0'; 8], *low),
        _ => {
            let mut text = [b'0'; 16];
            let from = text.len().checked_sub(digits.len()).filter(|_| !digits.is_empty())?;
            text.get_mut(from..)?.copy_from_slice(digits);
            let ([high, low], []) = text.as_chunks() else { return None };
            (*high, *low)
        }
    };
    Some(read_eight(high)? << 32 | read_eight(low)?)
}

/// The value of eight digits, all at once.
fn read_eight(digits: [u8; 8]) -> Option<u64> {
    const TOP: u64 = EACH * 0x80;
    let text = u64::from_be_bytes(digits);
    if text & TOP != 0 {
        return None;
    }
    // The top bit of each octet that is this or above. No octet carries over, since none has its top bit set.
    let from = |least: u8| text + EACH * u64::from(0x80 - least);
    let letters = from(b'a') & !from(b'f' + 1) & TOP;
    let known = letters | from(b'0') & !from(b'9' + 1) & TOP;
    if known != TOP {
        return None;
    }
    let values = text - EACH * u64::from(b'0') - (letters >> 7) * u64::from(b'a' - b'0' - 10);
    let values = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let values = (values | values >> 8) & 0x0000_ffff_0000_ffff;
    Some((values | values >> 16) & 0xffff_ffff)
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
        for octet in 0..=u8::MAX {
            let known = matches!(octet, b'0'..=b'9' | b'a'..=b'f')
                .then(|| u64::from_str_radix(&char::from(octet).to_string(), 16).unwrap());
            assert_eq!(read_hex(&[octet]), known, "{octet}");
            let long = [b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9', octet];
            assert_eq!(read_hex(&long), known.map(|known| 0x12_3456_7890 | known), "{octet}");
            let mut first = [octet; 16];
            first[8..].fill(b'0');
            assert_eq!(read_hex(&first).is_some(), known.is_some(), "{octet}");
        }
    }

    /// A long input is hashed part by part, and comes to the same.
    #[test]
    fn an_input_of_any_length_has_one_hash() {
        let keys = Keys::new([1; 16], [2; 16]);
        for length in [0, 1, 8, 100, 480, 500, 503, 504, 505, 600, 5000] {
            let text = vec![b'x'; length];
            let parts: [&[u8]; 2] = [&text, b"end"];
            let mut hasher = SipHasher24::new_with_key(&[1; 16]);
            hasher.write(&[Purpose::Route as u8]);
            absorb(&mut hasher, parts.into_iter());
            assert_eq!(keys.route(&parts), hasher.finish(), "{length}");
            assert_eq!(keys.route_pair(&[&text], [&[b"end"], &[&text]]), [keys.route(&parts), keys.route(&[&text, &text])]);
        }
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
