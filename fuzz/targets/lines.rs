//! A header section: the short way finds in it what the full reader finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence::sip::Message;

fuzz_target!(|bytes: &[u8]| {
    let [found, expected] = [Message::datagram(bytes), Message::datagram_in_full(bytes)].map(|message| format!("{message:?}"));
    assert_eq!(found, expected);
});
