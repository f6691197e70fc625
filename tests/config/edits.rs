//! Properties: whatever is done to a file, loading ends.

use proptest::prelude::*;

use super::{loads, parse};

proptest! {
    /// Whatever an editor, a merge or a broken template makes of a file, loading ends with a snapshot or with mistakes that can
    /// be drawn and lie within the file.
    #[test]
    fn parsing_never_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, edit()), 1..6)) {
        let mut text = FULL.to_owned();
        for (at, cut, insert) in edits {
            let boundary = |mut at: usize| { while !text.is_char_boundary(at) { at += 1; } at };
            let from = boundary(at.index(text.len() + 1));
            let to = boundary((from + cut).min(text.len()));
            text.replace_range(from..to, &insert);
        }
        if let Err(error) = parse(&text) {
            prop_assert!(!error.mistakes.is_empty());
            prop_assert!(!error.to_string().is_empty());
            for mistake in error.mistakes {
                prop_assert!(mistake.line <= text.split('\n').count(), "{}", mistake);
            }
        }
    }

    #[test]
    fn any_text_is_no_panic(text in "\\PC{0,200}|([a-z\\.\\[\\]=\" \n]{0,200})") {
        prop_assert!(parse(&text).is_err());
    }
}

const MEANINGFUL: &[&str] =
    &["\"", "[", "]", "\n", "=", ".", "/0", "::", "é", "\"\"\"", "99999999999999999999", "0/0", "{", "}", "-1", "ms", "#", "%1"];

/// Something to insert: often what has a meaning in the files.
fn edit() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(MEANINGFUL).prop_map(str::to_owned), "\\PC{0,3}"]
}

/// Every key, so that an edit may hit any of them. (No include and no secret: a mutated path would read other files.)
const FULL: &str = r#"serve = ["eu"]
global = "sip.test"
reject = { policy = 603, capacity = 503 }
[region.eu]
hostname = "eu.sip.test"
listen = ["udp:127.0.0.1:5060", "tcp:[::1]:5060"]
advertise = "127.0.0.1"
networks = ["127.0.1.0/24", "2001:db8::/32"]
upstream = ["sip:pbx.test:5060;transport=tcp", "127.0.1.1", "[2001:db8::1]:5070"]
nearest = ["us"]
methods = ["REGISTER", "PUBLISH"]
[region.us]
hostname = "us.sip.test"
networks = ["127.0.2.0/24"]
[project.acme]
pin = ["eu"]
mode = "enforce"
media = "enforce"
source = "any"
reject = "twilio"
[project.acme.trunk.carrier]
networks = ["127.0.3.0/24"]
media = ["127.0.4.0/24"]
uri = "sip:carrier.test;transport=udp"
outbound_networks = ["127.0.3.0/24"]
[admin]
listen = "127.0.0.1:9090"
[dns]
servers = ["127.0.0.1:53"]
stale = "1h"
vanish = "30s"
[limits]
memory = "1GiB"
transactions = 1000000
per_source = "200/s"
sources = 65536
message = "64KiB"
idle = "120s"
[timers]
t1 = "500ms"
c = "185s"
"#;

#[test]
fn the_full_file_loads() {
    loads(FULL);
}
