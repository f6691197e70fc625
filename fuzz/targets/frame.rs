//! A stream: the same messages come out of it in one segment and in many, and each is as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence::sip::Message;
use ringfence::sip::frame::{Frame, Framer};

fuzz_target!(|bytes: &[u8]| {
    // The first octet chooses the length of the segments.
    let Some((&first, stream)) = bytes.split_first() else { return };
    let whole = frames(stream, stream.len().max(1));
    assert_eq!(frames(stream, usize::from(first).max(1)), whole);
});

fn frames(stream: &[u8], size: usize) -> Vec<Result<Vec<u8>, &'static str>> {
    let mut framer = Framer::new(8192);
    let mut out = Vec::new();
    for segment in stream.chunks(size) {
        framer.buffer().extend_from_slice(segment);
        while let Some(frame) = framer.next() {
            match frame {
                Frame::Message(bytes) => {
                    let message = Message::framed(&bytes).expect("a frame is a message");
                    assert_eq!(message.content_length(), Some(message.body().len()));
                    assert!(message.fault().is_none_or(|fault| !fault.breaks_framing()), "{:?}", message.fault());
                    // On a stream and in a datagram it is the same message.
                    let datagram = Message::datagram(&bytes).expect("a frame is a datagram");
                    assert_eq!((datagram.fault(), datagram.bytes()), (message.fault(), message.bytes()));
                    out.push(Ok(bytes.to_vec()));
                }
                Frame::Ping => out.push(Ok(Vec::new())),
                Frame::Broken(fault, _) => {
                    assert!(fault.breaks_framing(), "{fault:?}");
                    out.push(Err(fault.label()));
                    return out;
                }
            }
        }
    }
    out
}
