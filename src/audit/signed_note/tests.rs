//! Notes against those of other implementations, and with every octet changed.

use proptest::prelude::*;
use signed_note::{Note, StandardVerifier, VerifierList};

use super::*;
use crate::audit::tree::MerkleTree;

/// The example of Go's golang.org/x/mod/sumdb/note, with its secret key.
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SECRET: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SIGNED: &str =
    "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer(name: &str, octet: u8) -> NoteSigner {
    NoteSigner::new(name, &[octet; 32]).expect("a signer")
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "eu.sip.example.com/audit/n1".to_owned(),
        size: 3,
        root: [7; 32],
        day: "2026-11-25".parse().expect("a day"),
        previous: Some([9; 32]),
        is_final: true,
    }
}

#[test]
fn signs_what_go_signs() {
    let seed: [u8; 32] = STANDARD.decode(SECRET).unwrap()[1..].try_into().unwrap();
    let signer = NoteSigner::new("PeterNeumann", &seed).unwrap();
    assert_eq!(signer.verifier().to_string(), PUBLIC);
    assert_eq!(PUBLIC.parse().as_ref(), Ok(signer.verifier()));
    let note = signer.sign(TEXT);
    assert_eq!(note, format!("{TEXT}\n{SIGNED}"));
    assert_eq!(signer.verifier().verify(note.as_bytes()), Ok(TEXT));
}

#[test]
fn other_implementations_take_our_notes_and_checkpoints() {
    let signer = signer("eu.sip.example.com/audit/n1", 5);
    let mut tree = MerkleTree::default();
    (0..11_u8).for_each(|leaf| tree.push(&[leaf]));
    let ours = Checkpoint { size: tree.size(), root: tree.root(), ..checkpoint() };
    let written = signer.sign(&ours.text());
    let note = Note::from_bytes(written.as_bytes()).unwrap();
    let key = StandardVerifier::new(&signer.verifier().to_string()).unwrap();
    let (verified, _) = note.verify(&VerifierList::new(vec![Box::new(key)])).unwrap();
    assert_eq!(verified.len(), 1);
    let theirs = tlog_tiles::Checkpoint::from_reader(&mut note.text(), false).unwrap();
    assert_eq!((theirs.size(), theirs.hash().0), (ours.size, ours.root));
}

#[test]
fn no_octet_of_a_note_can_be_another() {
    let signer = signer("eu.sip.example.com/audit/n1", 5);
    let note = signer.sign(&checkpoint().text()).into_bytes();
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut other = note.clone();
            other[at] ^= 1 << bit;
            assert!(signer.verifier().verify(&other).is_err(), "octet {at}, bit {bit}");
        }
        assert!(signer.verifier().verify(&note[..at]).is_err(), "{at} octets");
    }
}

#[test]
fn only_the_key_itself_counts() {
    let (own, foreign) = (signer("a/audit/n", 1), signer("a/audit/n", 2));
    let text = checkpoint().text();
    assert_eq!(own.verifier().verify(foreign.sign(&text).as_bytes()), Err(NoteError::Unsigned));
    assert_eq!(own.verifier().verify(signer("b/audit/n", 1).sign(&text).as_bytes()), Err(NoteError::Unsigned));
    // A witness may sign too.
    let witness = foreign.sign(&text);
    let both = own.sign(&text) + witness.lines().last().unwrap() + "\n";
    assert_eq!(own.verifier().verify(both.as_bytes()), Ok(text.as_str()));
    assert_eq!(foreign.verifier().verify(both.as_bytes()), Ok(text.as_str()));
    let many = own.sign(&text) + &format!("{}\n", witness.lines().last().unwrap()).repeat(MOST_SIGNATURES);
    assert_eq!(own.verifier().verify(many.as_bytes()), Err(NoteError::Form));
}

#[test]
fn keys_are_what_they_say() {
    assert!(["", "a b", "a+b", "a\n"].into_iter().all(|name| NoteSigner::new(name, &[1; 32]).err() == Some(NoteError::Name)));
    for (text, error) in [
        ("", NoteError::Key),
        ("a+b", NoteError::Key),
        ("PeterNeumann+c74f20a3+%", NoteError::Key),
        ("PeterNeumann+c74f20a3+ARpc", NoteError::Key),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteError::KeyHash),
        ("PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteError::KeyHash),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteError::Name),
    ] {
        assert_eq!(text.parse::<NoteVerifier>(), Err(error), "{text}");
    }
}

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let whole = checkpoint();
    let first = Checkpoint { previous: None, is_final: false, size: 0, ..checkpoint() };
    for checkpoint in [&whole, &first] {
        assert_eq!(checkpoint.text().parse().as_ref(), Ok(checkpoint));
    }
    let root = STANDARD.encode([7; 32]);
    assert_eq!(first.text(), format!("eu.sip.example.com/audit/n1\n0\n{root}\nday 2026-11-25\n"));
    // A line that nobody knows yet.
    assert_eq!((first.text() + "later 1\n").parse().as_ref(), Ok(&first));
    for (from, to) in [
        ("3\n", "03\n"),
        ("3\n", "+3\n"),
        ("3\n", "-3\n"),
        ("3\n", "18446744073709551616\n"),
        ("day 2026-11-25", "day 2026-11-31"),
        ("day 2026-11-25\n", ""),
        ("final\n", "final"),
        ("final\n", "\nfinal\n"),
        ("previous ", "previous previous "),
        ("final\n", &format!("previous {root}\n")),
        (&root, "BwcH"),
        ("eu.sip.example.com/audit/n1\n", "\n"),
    ] {
        let text = whole.text().replace(from, to);
        assert_eq!(text.parse::<Checkpoint>(), Err(NoteError::Checkpoint), "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_read_ends_the_program(octets in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        let verifier = signer("a", 1);
        let _ = verifier.verifier().verify(&octets);
        let _ = text.parse::<Checkpoint>();
        let _ = text.parse::<NoteVerifier>();
        let signed = verifier.sign(&format!("{text}\n"));
        prop_assert_eq!(verifier.verifier().verify(signed.as_bytes()).map(str::trim_end), Ok(text.trim_end()));
    }
}
