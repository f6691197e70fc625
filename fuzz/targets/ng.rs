//! What a media relay answers: nothing panics, and what is understood is found again where a relay writes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence::core::io::RelayReply;
use ringfence::net::rtpengine::ng;

fuzz_target!(|bytes: &[u8]| {
    let _ = ng::answer(bytes);
    let cookie = b"0123456789abcdef0123456789abcdef ";
    let whole = |dictionary: &[u8]| ng::answer(&[cookie, dictionary].concat());
    let _ = whole(bytes);
    // As a description, and before a result that must still be found.
    let sdp = [b"d3:sdp", bytes.len().to_string().as_bytes(), b":", bytes, b"6:result2:oke"].concat();
    match whole(&sdp) {
        Some((_, RelayReply::Done(Some(found)))) => assert_eq!(found, bytes),
        other => panic!("{other:?}"),
    }
});
