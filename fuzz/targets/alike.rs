//! The short ways to read a value and a description: they find what the full readers find.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence::sip::{Message, alike};

fuzz_target!(|bytes: &[u8]| {
    alike::values(bytes);
    alike::descriptions(bytes);
    // What the seeds hold: each row of a message, and its body.
    let Ok(message) = Message::datagram(bytes) else { return };
    for header in message.headers() {
        alike::values(message.value(header));
    }
    alike::descriptions(message.body());
});
