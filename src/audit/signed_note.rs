//! The checkpoint of a day as a signed note (C2SP signed-note and tlog-checkpoint, Ed25519): made, written, read, verified.
//!
//! Only turns values into texts and back. What a checkpoint promises is compared elsewhere.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::day::Day;
use super::tree::{NodeHash, sha256};

/// The kind of signature in a key's text and in its hash: Ed25519.
const KIND: u8 = 1;
/// Most octets of a note that is read.
pub const LONGEST_NOTE: usize = 1 << 20;
/// Most signatures that are read.
const MOST_SIGNATURES: usize = 100;
/// What a line with a signature begins with.
const DASH: &str = "\u{2014} ";

/// Why a note, a key or a checkpoint is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The name of a key is empty, or has a space or a `+`.
    #[error("the key's name is empty, or has a space or a +")]
    Name,
    /// The seed makes no key.
    #[error("the seed makes no key")]
    Seed,
    /// This is no verifier key.
    #[error("this is no verifier key: <name>+<8 hex digits>+<base64> would be right")]
    Key,
    /// The hash in a verifier key is not that of the key.
    #[error("the hash in the verifier key is not that of its name and key")]
    KeyHash,
    /// This is no signed note.
    #[error("this is no signed note")]
    Form,
    /// No signature is by the key.
    #[error("no signature is by the key")]
    Unsigned,
    /// The signature is not the key's.
    #[error("the signature is not the key's")]
    Signature,
    /// The text of the note is no checkpoint.
    #[error("the note is no checkpoint")]
    Checkpoint,
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// Who signs notes.
#[derive(Debug)]
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    verifier: NoteVerifier,
}

impl NoteSigner {
    /// The signer of that name with the key of that seed.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Seed)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Seed)?;
        Ok(Self { pair, verifier: NoteVerifier::new(name, key)? })
    }

    /// By what others verify its notes.
    pub fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// A note with that text, which must end with a line feed.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.hash().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n{DASH}{} {}\n", self.verifier.name, STANDARD.encode(signature))
    }
}

/// By what a note is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    key: [u8; 32],
}

impl NoteVerifier {
    /// The key of that name.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        if is_name(name) { Ok(Self { name: name.to_owned(), key }) } else { Err(NoteError::Name) }
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The first octets of the hash of name and key: by these a signature says whose it is.
    pub fn hash(&self) -> [u8; 4] {
        let hashed = [self.name.as_bytes(), b"\n", &[KIND], &self.key].concat();
        let [a, b, c, d, ..] = sha256(&hashed);
        [a, b, c, d]
    }

    /// The text of a note that this key has signed, with its last line feed. Signatures by other keys do not count.
    pub fn verify<'n>(&self, note: &'n [u8]) -> Result<&'n str, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Form)?;
        if note.len() > LONGEST_NOTE || note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Form);
        }
        let (text, signatures) = note.rfind("\n\n").map(|at| note.split_at(at + 1)).ok_or(NoteError::Form)?;
        let signatures = signatures.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n')).ok_or(NoteError::Form)?;
        let mut signed = false;
        for (count, line) in signatures.split('\n').enumerate() {
            let parts = line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).filter(|_| count < MOST_SIGNATURES);
            let (name, signature) = parts.filter(|(name, _)| is_name(name)).ok_or(NoteError::Form)?;
            let signature = STANDARD.decode(signature).map_err(|_| NoteError::Form)?;
            let (hash, signature) = signature.split_at_checked(4).ok_or(NoteError::Form)?;
            if name != self.name || hash != self.hash() {
                continue;
            }
            let key = UnparsedPublicKey::new(&ED25519, &self.key);
            key.verify(text.as_bytes(), signature).map_err(|_| NoteError::Signature)?;
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned) }
    }
}

impl FromStr for NoteVerifier {
    type Err = NoteError;

    /// A verifier key: `<name>+<8 hex digits>+<base64>`.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(NoteError::Key) };
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let key = key.strip_prefix(&[KIND]).and_then(|key| key.try_into().ok()).ok_or(NoteError::Key)?;
        let verifier = Self::new(name, key)?;
        let real = format!("{:08x}", u32::from_be_bytes(verifier.hash()));
        if real == hash { Ok(verifier) } else { Err(NoteError::KeyHash) }
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[KIND], self.key.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.hash()), STANDARD.encode(key))
    }
}

/// What a signed checkpoint says of a day's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose record it is: the name of the key, `<region hostname>/audit/<node>`.
    pub origin: String,
    /// How many lines it covers.
    pub size: u64,
    /// The root over them.
    pub root: NodeHash,
    /// The day.
    pub day: Day,
    /// SHA-256 of the final checkpoint of the last day before that has records. Absent on the first day.
    pub previous: Option<NodeHash>,
    /// Whether no line follows on that day.
    pub is_final: bool,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\nday {}\n", self.origin, self.size, STANDARD.encode(self.root), self.day);
        if let Some(previous) = &self.previous {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "previous {}", STANDARD.encode(previous));
        }
        if self.is_final {
            text.push_str("final\n");
        }
        text
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// The text that was signed. A line that a later version adds is passed over, as tlog-checkpoint wants it.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let hash = |text: &str| {
            let octets = STANDARD.decode(text).ok();
            octets.and_then(|octets| NodeHash::try_from(octets).ok()).ok_or(NoteError::Checkpoint)
        };
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Checkpoint)?.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty()).ok_or(NoteError::Checkpoint);
        let (origin, size, root, day) = (next()?, next()?, next()?, next()?);
        let plain = size.bytes().all(|octet| octet.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let mut checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().ok().filter(|_| plain).ok_or(NoteError::Checkpoint)?,
            root: hash(root)?,
            day: day.strip_prefix("day ").and_then(|day| day.parse().ok()).ok_or(NoteError::Checkpoint)?,
            previous: None,
            is_final: false,
        };
        for line in lines {
            match line.strip_prefix("previous ") {
                Some(previous) if checkpoint.previous.is_none() => checkpoint.previous = Some(hash(previous)?),
                Some(_) => return Err(NoteError::Checkpoint),
                None if line == "final" => checkpoint.is_final = true,
                None if line.is_empty() => return Err(NoteError::Checkpoint),
                None => {}
            }
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests;
