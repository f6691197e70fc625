//! However a stream is cut into segments, the same messages come out of it.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::sample::Index;
use ringfence::sip::Message;
use ringfence::sip::frame::{Frame, Framer};
use ringfence::sip::scan::MAX_MESSAGE;

use crate::fixtures::{self, Fixture};

/// What comes out, until the stream breaks.
fn frames<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut framer = Framer::new(MAX_MESSAGE);
    let mut out = Vec::new();
    for segment in segments {
        framer.buffer().extend_from_slice(segment);
        while let Some(frame) = framer.next() {
            match frame {
                Frame::Message(bytes) => out.push(String::from_utf8_lossy(&bytes).into_owned()),
                Frame::Ping => out.push("ping".to_owned()),
                Frame::Broken(fault, _) => {
                    out.push(fault.label().to_owned());
                    return out;
                }
            }
        }
    }
    out
}

/// Messages that can stand in a stream.
fn streamed() -> Vec<&'static Fixture> {
    let fits = |fixture: &&Fixture| {
        let framed = Message::framed(&fixture.bytes).is_ok_and(|message| message.fault().is_none());
        fixture.is_ok() && framed && fixture.bytes.len() < 3000
    };
    fixtures::all().iter().filter(fits).collect()
}

#[test]
fn one_octet_at_a_time() {
    let messages = streamed();
    assert!(messages.len() > 80, "{}", messages.len());
    let stream = messages.iter().map(|fixture| &fixture.bytes[..]).collect::<Vec<_>>().concat();
    let expected: Vec<_> = messages.iter().map(|fixture| String::from_utf8_lossy(&fixture.bytes).into_owned()).collect();
    assert_eq!(frames(std::iter::once(&stream[..])), expected);
    assert_eq!(frames(stream.chunks(1)), expected);
}

#[test]
fn a_broken_message_breaks_the_same_way() {
    for fixture in fixtures::all() {
        let whole = frames(std::iter::once(&fixture.bytes[..]));
        for size in [1, 7, 1400] {
            assert_eq!(frames(fixture.bytes.chunks(size)), whole, "{} in segments of {size}", fixture.name);
        }
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        chosen in vec((any::<Index>(), 0..6_usize), 1..6),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let messages = streamed();
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (index, crlfs) in &chosen {
            // Two make a ping; one left over is padding before a start line.
            stream.extend(b"\r\n".repeat(*crlfs));
            expected.extend(std::iter::repeat_n("ping".to_owned(), crlfs / 2));
            let fixture = index.get(&messages);
            stream.extend(&fixture.bytes);
            expected.push(String::from_utf8_lossy(&fixture.bytes).into_owned());
        }
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let segments = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(frames(segments), expected);
    }
}
