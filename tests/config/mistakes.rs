//! Every class of mistake: its place, the offending text, and what would be right.

use std::time::Duration;

use ringfence::config::Mistake;

use super::{BASE, loads, parse, replaced};

fn mistakes(text: &str) -> Vec<Mistake> {
    parse(text).err().map(|error| error.mistakes).unwrap_or_default()
}

/// Checks that the replacement makes exactly one mistake, at this place, of this text, with these words.
#[track_caller]
fn wrong(line: usize, with: &str, place: &str, text: &str, wrong: &str, right: &str) {
    let source = replaced(line, with);
    let found = mistakes(&source);
    let [mistake] = found.as_slice() else { panic!("{with}: not one mistake but {found:#?}") };
    let drawn = mistake.to_string();
    assert_eq!(format!("{}:{}", mistake.line, mistake.column), place, "{drawn}");
    assert_eq!(mistake.text, text, "{drawn}");
    assert!(mistake.wrong.contains(wrong), "`{wrong}` is not said: {drawn}");
    assert!(mistake.right.contains(right), "`{right}` is not said: {drawn}");
}

#[test]
fn toml_that_is_none() {
    wrong(1, "serve = [\"eu\"", "2:1", "", "missing comma", "expected");
    wrong(1, "serve =", "1:8", "", "", "expected");
    wrong(1, "serve = eu", "1:9", "eu", "a text without quotes", "\"eu\", or [\"eu\"] where a list is meant");
    wrong(1, "serve = [\"eu]", "1:10", "\"eu]", "no closing quote", "where it ends");
    wrong(1, "serve [\"eu\"]", "1:1", "serve [\"eu\"]", "a key without a value", "`key = value`");
    wrong(7, "[region.eu]", "7:9", "eu", "duplicate key", "once");
    let found = mistakes("serve = [\"eu\n[region.eu\n");
    assert_eq!(found.len(), 1, "what follows a syntax error is guesswork: {found:#?}");
}

#[test]
fn keys_that_are_unknown() {
    wrong(0, "colour = 1", "1:1", "colour", "unknown key `colour` at the top", "known keys: serve");
    wrong(0, "globl = \"example.com\"", "1:1", "globl", "unknown key", "did you mean `global`?");
    wrong(9, "network = [\"127.0.2.0/24\"]", "9:1", "network", "in [region.us]", "did you mean `networks`?");
    wrong(11, "pins = [\"eu\"]", "11:1", "pins", "in [project.acme]", "did you mean `pin`?");
    wrong(13, "networks = [\"127.0.3.0/24\"]\nmedai = []", "14:1", "medai", "[project.acme.trunk.carrier]", "`media`?");
    wrong(0, "timers = { t3 = \"1s\" }", "1:12", "t3", "in [timers]", "`t1`?");
    wrong(0, "reject = { policy = 603, capacity = 503, x = 1 }", "1:42", "x", "in [reject]", "policy, capacity");
    wrong(0, "secret = {}", "1:1", "secret", "without `file`", "file =");
}

#[test]
fn numbers_and_messages_that_are_to_be_kept_in_another_way() {
    wrong(0, "log = { numbers = \"full\" }", "1:19", "\"full\"", "`full`", "`plain`");
    wrong(0, "log = { refused = 10001 }", "1:19", "10001", "`log.refused` is out of bounds", "from 0 to 10000");
    wrong(0, "log = { refuse = 1 }", "1:9", "refuse", "in [log]", "did you mean `refused`?");
    for log in ["log = { refused = 0 }", "log = { refused = 10000, numbers = \"plain\" }"] {
        assert_eq!(mistakes(&replaced(0, log)), []);
    }
}

#[test]
fn collectors_that_would_take_messages_out_of_their_region() {
    let at = |server: &str| format!("hep = {{ server = {server} }}");
    let outside = "outside: copies of messages would leave";
    wrong(0, &at("\"udp:198.51.100.9:9060\""), "1:18", "\"udp:198.51.100.9:9060\"", outside, "served here");
    // Inside a region that is known, and served elsewhere.
    wrong(0, &at("\"udp:127.0.2.9:9060\""), "1:18", "\"udp:127.0.2.9:9060\"", outside, "served here");
    let two = "[\"udp:127.0.1.9:9060\", \"udp:127.0.1.8:9060\"]";
    wrong(0, &at(two), "1:41", "\"udp:127.0.1.8:9060\"", "a second collector in region `eu`", "one inside each");
    wrong(0, &at("\"tcp:127.0.1.9:9060\""), "1:18", "\"tcp:127.0.1.9:9060\"", "over UDP alone", "udp:ADDRESS:PORT");
    wrong(0, &at("\"homer.example.com\""), "1:18", "\"homer.example.com\"", "no collector", "udp:ADDRESS:PORT");
    wrong(0, &at("\"udp:127.0.0.1:5060\""), "1:18", "\"udp:127.0.0.1:5060\"", "is a listener of this daemon's", "collector's");
    wrong(0, "hep = { node = 7 }", "1:1", "hep", "without `server`", "server =");
    assert_eq!(mistakes(&replaced(0, &at("\"udp:127.0.1.9:9060\""))), []);
}

#[test]
fn numbers_that_are_none_and_lists_that_say_nothing() {
    let trunk = |keys: &str| format!("networks = [\"127.0.3.0/24\"]\nuri = \"sip:127.0.3.9\"\n{keys}");
    wrong(13, &trunk("countries = [\"UK\"]"), "15:14", "\"UK\"", "\"UK\" is no country", "write \"GB\"");
    wrong(13, &trunk("countries = [\"ie\"]"), "15:14", "\"ie\"", "no country", "\"IE\"");
    wrong(13, &trunk("countries = [\"+999\"]"), "15:14", "\"+999\"", "no country code", "+800");
    wrong(13, &trunk("countries = []"), "15:1", "countries", "allow nobody", "leave `countries` out");
    wrong(13, &trunk("callers = [\"nobody\"]"), "15:12", "\"nobody\"", "no country", "ISO 3166");
    wrong(13, &trunk("callers = []"), "15:1", "callers", "allow nobody", "leave `callers` out");
    wrong(13, &trunk("numbering = \"local\""), "15:13", "\"local\"", "no way to read numbers", "E.164");
    wrong(13, &trunk("strip = \"a1\""), "15:9", "\"a1\"", "no tech prefix", "digits");
    wrong(13, &trunk("emergency = \"never\""), "15:13", "\"never\"", "not one of the choices", "`pass` or `refuse`");
    wrong(0, "emergency = [\"+112\"]", "1:14", "\"+112\"", "no emergency number", "digits");
    wrong(
        13,
        "networks = [\"127.0.3.0/24\"]\ncountries = [\"IE\"]",
        "14:1",
        "countries",
        "without `uri`",
        "`callers` is for calls in",
    );
    let many = (0..65).map(|_| "\"IE\"").collect::<Vec<_>>().join(", ");
    wrong(13, &trunk(&format!("countries = [{many}]")), "15:1", "countries", "has 65 entries", "at most 64");
    let list = (10..43).map(|number| format!("\"{number}\"")).collect::<Vec<_>>().join(", ");
    let found = mistakes(&replaced(0, &format!("emergency = [{list}]")));
    assert!(found.len() == 1 && found[0].wrong.contains("at most 32"), "{found:#?}");
    assert_eq!(
        mistakes(&replaced(13, &trunk("countries = [\"IE\", \"+800\"]\ncallers = [\"IN\", \"anonymous\"]\nstrip = \"12#\""))),
        []
    );
}

#[test]
fn gateways_that_are_none_or_too_many() {
    let trunk = |keys: &str| format!("networks = [\"127.0.3.0/24\"]\n{keys}");
    wrong(13, &trunk("uri = []"), "14:1", "uri", "`uri` has 0 gateways", "leave `uri` out");
    let many = (0..17).map(|_| "\"sip:127.0.3.9\"").collect::<Vec<_>>().join(", ");
    wrong(13, &trunk(&format!("uri = [{many}]")), "14:1", "uri", "`uri` has 17 gateways", "1 to 16");
    wrong(
        13,
        &trunk("uri = [\"sip:127.0.3.9\", \"sip:203.0.113.9\"]"),
        "14:25",
        "\"sip:203.0.113.9\"",
        "outside the trunk's",
        "network",
    );
    wrong(13, &trunk("uri = \"sip:127.0.3.9\"\nadvance = 500"), "15:11", "500", "must be an array of numbers", "[500, 502]");
    wrong(
        13,
        &trunk("uri = \"sip:127.0.3.9\"\nadvance = [500, 302]"),
        "15:17",
        "302",
        "must hold whole numbers from 400",
        "from 400 to 599",
    );
    wrong(13, &trunk("uri = \"sip:127.0.3.9\"\nadvance = [407]"), "15:12", "407", "asks for credentials", "408");
    wrong(13, &trunk("advance = [500]"), "14:1", "advance", "`advance` without `uri`", "leave it out");
    assert_eq!(mistakes(&replaced(13, &trunk("uri = [\"sip:127.0.3.9\", \"sip:gw.example.net\"]\nadvance = [408, 500]"))), []);
}

#[test]
fn an_audit_record_that_cannot_be_kept_so() {
    // Any file of 32 octets is a key; the manifest is one that every place has.
    let with = |more: &str| format!("audit = {{ path = \"a\", sign = \"{}/Cargo.toml\"{more} }}", env!("CARGO_MANIFEST_DIR"));
    wrong(0, "audit = { path = \"a\" }", "1:1", "audit", "[audit] without `sign`", "sign = ");
    wrong(0, &with("").replace("path = \"a\", ", ""), "1:1", "audit", "[audit] without `path`", "path = ");
    wrong(
        0,
        "audit = { path = \"a\", sign = \"none.key\" }",
        "1:30",
        "\"none.key\"",
        "none.key: cannot be read",
        "at least 32 random octets",
    );
    let short = format!("{}/short-audit-{}.key", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&short, [7; 31]).unwrap();
    let named = format!("\"{short}\"");
    wrong(0, &format!("audit = {{ path = \"a\", sign = {named} }}"), "1:30", &named, "holds 31 octets", "32 random");
    let at = with("").len();
    wrong(0, &with(", numbers = \"all\""), &format!("1:{}", at + 11), "\"all\"", "`all`", "`hmac`");
    wrong(0, &with(", retain = \"forever\""), &format!("1:{}", at + 10), "\"forever\"", "is not a duration", "`500ms`");
    wrong(0, &with(", checkpoint = \"0s\""), &format!("1:{}", at + 14), "\"0s\"", "out of bounds", "from `1s` to `1d`");
    wrong(0, &with(", spol = \"x\""), &format!("1:{}", at + 1), "spol", "in [audit]", "did you mean `spool`?");
    assert_eq!(mistakes(&replaced(0, &with(", retain = \"0d\", numbers = \"mask\", spool = \"/run/x\""))), []);
}

#[test]
fn ways_out_and_pings() {
    let trunk = |keys: &str| format!("networks = [\"127.0.3.0/24\"]\n{keys}");
    wrong(11, "pin = [\"eu\"]\nout = [\"carrier\"]", "12:8", "\"carrier\"", "no call goes out by trunk `carrier`", "`uri`");
    wrong(
        11,
        "pin = [\"eu\"]\nout = [\"nobody\"]",
        "12:8",
        "\"nobody\"",
        "is no trunk of project `acme`",
        "[project.acme.trunk.NAME]",
    );
    wrong(11, "pin = [\"eu\"]\nout = []", "12:1", "out", "`out` has 0 trunks", "1 to 16");
    wrong(11, "pin = [\"eu\"]\nout = \"carrier\"", "12:7", "\"carrier\"", "must be an array", "[");
    wrong(13, &trunk("ping = \"60s\""), "14:8", "\"60s\"", "`ping` without `uri`", "leave it out");
    wrong(13, &trunk("uri = \"sip:127.0.3.9\"\nping = \"1s\""), "15:8", "\"1s\"", "`ping` is 1s", "10s to 1h");
    wrong(13, &trunk("uri = \"sip:127.0.3.9\"\nping = \"2h\""), "15:8", "\"2h\"", "`ping` is 2h", "10s to 1h");
    assert_eq!(mistakes(&replaced(13, &trunk("uri = \"sip:127.0.3.9\"\nping = \"60s\""))), []);
}

#[test]
fn keys_that_later_work_will_use() {
    wrong(11, "pin = [\"eu\"]\naudit = {}", "12:1", "audit", "not supported yet", "leave it out");
    wrong(4, "listen = [\"ws:127.0.0.1:5061\"]", "4:11", "\"ws:127.0.0.1:5061\"", "not supported", "`udp:`, `tcp:` or `tls:`");
    wrong(6, "upstream = \"sip:127.0.1.1;transport=wss\"", "6:12", "\"sip:127.0.1.1;transport=wss\"", "not supported", "udp");
}

#[test]
fn relays_that_are_none_or_missing() {
    let (pinned, relayed) = ("pin = [\"eu\"]", "pin = [\"eu\"]\nmedia = \"relay\"");
    wrong(11, relayed, "12:9", "\"relay\"", "region `eu`, which project `acme` may use, has no `relay`", "relay = [\"udp:");
    let usual = "upstream = \"127.0.1.1\"";
    for (relay, what, right) in [
        ("127.0.1.50:2223", "is no media relay", "`udp:address:port`"),
        ("tcp:127.0.1.50:2223", "is no media relay", "`udp:address:port`"),
        ("udp:rtpengine.example.com:2223", "is no media relay", "`udp:address:port`"),
        ("udp:127.0.1.50", "is no media relay", "`udp:address:port`"),
        ("udp:127.0.1.50:0", "port 0", "1 to 65535"),
        ("udp:[::ffff:127.0.1.50]:2223", "is IPv4 within IPv6", "`127.0.1.50:2223`"),
        ("udp:127.0.9.50:2223", "relay 127.0.9.50 is outside region `eu`", "within the region's `networks`"),
    ] {
        wrong(6, &format!("{usual}\nrelay = [\"{relay}\"]"), "7:10", &format!("\"{relay}\""), what, right);
    }
    wrong(
        6,
        &format!("{usual}\nrelay = [\"udp:127.0.1.50:1\", \"udp:127.0.1.50:1\"]"),
        "7:30",
        "\"udp:127.0.1.50:1\"",
        "stands twice",
        "once",
    );
    let many: Vec<_> = (1..=17).map(|port| format!("\"udp:127.0.1.50:{port}\"")).collect();
    let found = mistakes(&replaced(6, &format!("{usual}\nrelay = [{}]", many.join(", "))));
    assert!(found.len() == 1 && found[0].wrong.contains("more relays"), "{found:#?}");
    // In a region that is not served, or that the project may not use, none is missed.
    let relay = format!("{usual}\nrelay = [\"udp:127.0.1.50:2223\"]");
    let text = replaced(6, &relay).replace(pinned, relayed);
    assert!(text.contains("media = \"relay\""));
    let config = loads(&text);
    assert_eq!(config.regions[0].relays, ["127.0.1.50:2223".parse().unwrap()]);
}

#[test]
fn types_that_are_wrong() {
    wrong(1, "serve = \"eu\"", "1:9", "\"eu\"", "must be an array of strings, not a string", "[\"…\"");
    wrong(1, "serve = [\"eu\", 7]", "1:16", "7", "must hold strings, not a number", "quotes");
    wrong(0, "global = true", "1:10", "true", "must be a string, not true or false", "a host name");
    wrong(0, "admin = \"127.0.0.1:9090\"", "1:9", "\"127.0.0.1:9090\"", "must be a table", "[admin]");
    wrong(0, "limits = { transactions = \"many\" }", "1:27", "\"many\"", "must be a number", "a whole number from 1");
    wrong(0, "timers = { t1 = 500 }", "1:17", "500", "must be a string, not a number", "`500ms`");
    wrong(0, "limits = { message = 2.5 }", "1:22", "2.5", "must be a string, not a decimal", "KiB");
    wrong(8, "hostname = { a = 1 }", "8:1", "hostname", "must be a string, not a table", "a host name");
}

#[test]
fn names_that_are_no_names() {
    wrong(10, "[project.Acme]\n[project.acme]", "10:10", "Acme", "upper case", "`acme`");
    wrong(10, "[project.a_b]\npin = [\"eu\"]\n[project.acme]", "10:10", "a_b", "host name", "DNS label");
    wrong(10, "[project.-a]\npin = [\"eu\"]\n[project.acme]", "10:10", "-a", "host name", "DNS label");
    wrong(12, "[project.acme.trunk.\"a.b\"]", "12:21", "\"a.b\"", "host name", "DNS label");
    wrong(7, "[region.\"u s\"]", "7:9", "\"u s\"", "no region name", "a token");
    wrong(8, "hostname = \"us.example.com.\"", "8:12", "\"us.example.com.\"", "ends with a dot", "`us.example.com`");
    wrong(8, "hostname = \"127.0.0.1\"", "8:12", "\"127.0.0.1\"", "is an address", "host name");
    wrong(8, "hostname = \"us..com\"", "8:12", "\"us..com\"", "no host name", "host name");
    wrong(0, "global = \"1.2.3\"", "1:10", "\"1.2.3\"", "no host name", "host name");
}

#[test]
fn names_of_regions_that_are_unknown() {
    wrong(1, "serve = [\"eu\", \"ue\"]", "1:16", "\"ue\"", "unknown region `ue`", "one of: eu, us");
    wrong(1, "serve = [\"eu\", \"uss\"]", "1:16", "\"uss\"", "unknown region `uss`", "one of: eu, us");
    wrong(1, "serve = [\"eu\", \"eu\"]", "1:16", "\"eu\"", "stands twice", "once");
    wrong(1, "serve = []", "1:9", "[]", "no region is served", "serve = [\"eu\"]");
    wrong(1, "", "1:1", "", "`serve` is missing", "serve = [\"eu\"]");
    wrong(11, "pin = [\"asia\"]", "11:8", "\"asia\"", "unknown region `asia`", "one of: eu, us");
    wrong(11, "pin = []", "11:7", "[]", "an empty pin", "leave `pin` out");
    wrong(9, "nearest = [\"mars\"]", "9:12", "\"mars\"", "unknown region `mars`", "one of: eu, us");
    wrong(9, "nearest = [\"us\"]", "7:9", "us", "nearest to itself", "other regions");
}

#[test]
fn networks_and_addresses() {
    wrong(5, "networks = [\"127.0.1.1/24\"]", "5:13", "\"127.0.1.1/24\"", "bits beyond its length", "`127.0.1.0/24`");
    wrong(9, "networks = [\"127.0.2.1\"]", "9:13", "\"127.0.2.1\"", "not a network", "`127.0.2.1/32`");
    wrong(9, "networks = [\"127.0.2/24\"]", "9:13", "\"127.0.2/24\"", "not a network", "203.0.113.0/24");
    wrong(9, "networks = [\"127.0.2.0/33\"]", "9:13", "\"127.0.2.0/33\"", "not a network", "203.0.113.0/24");
    wrong(9, "networks = [\"::ffff:10.0.0.0/104\"]", "9:13", "\"::ffff:10.0.0.0/104\"", "IPv4 within IPv6", "`10.0.0.0/8`");
    let text = "\"127.0.1.64/26\"";
    wrong(9, &format!("networks = [{text}]"), "9:13", text, "overlaps `127.0.1.0/24` of region `eu`", "one region");
    wrong(9, "networks = [\"127.0.0.0/16\"]", "9:13", "\"127.0.0.0/16\"", "overlaps `127.0.1.0/24`", "one region");
    wrong(6, "upstream = \"127.0.2.1\"", "6:12", "\"127.0.2.1\"", "127.0.2.1 is outside region `eu`", "`networks`");
    wrong(6, "upstream = [\"127.0.1.1\", \"[::1]:5060\"]", "6:26", "\"[::1]:5060\"", "::1 is outside", "`networks`");
    wrong(4, "listen = [\"127.0.0.1:5060\"]", "4:11", "\"127.0.0.1:5060\"", "not a listener", "udp:203.0.113.10:5060");
    wrong(4, "listen = [\"udp:127.0.0.1\"]", "4:11", "\"udp:127.0.0.1\"", "not ADDRESS:PORT", "udp:203.0.113.10:5060");
    wrong(4, "listen = [\"udp:127.0.0.1:0\"]", "4:11", "\"udp:127.0.0.1:0\"", "port 0", "1 to 65535");
    wrong(4, "listen = [\"udp:224.0.0.1:5060\"]", "4:11", "\"udp:224.0.0.1:5060\"", "no address of one host", "udp:");
    wrong(8, "hostname = \"us.example.com\"\nadvertise = \"[::1]\"", "9:13", "\"[::1]\"", "brackets", "without brackets");
    wrong(0, "admin = { listen = \"9090\" }", "1:20", "\"9090\"", "not ADDRESS:PORT", "127.0.0.1:9090");
    wrong(0, "admin = { hosts = [\"a.internal:9090\"] }", "1:20", "\"a.internal:9090\"", "no host name", "without a port");
    wrong(0, "admin = { hosts = [\"http://a\"] }", "1:20", "\"http://a\"", "no host name", "`ringfence.internal`");
    wrong(0, "admin = { hosts = [\"*.internal\"] }", "1:20", "\"*.internal\"", "no host name", "a host name or an address");
    wrong(0, "dns = { servers = [\"ns.example.com\"] }", "1:20", "\"ns.example.com\"", "not an address", "127.0.0.1:53");
}

#[test]
fn listeners_that_collide() {
    let twice = "listen = [\"udp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\"]";
    wrong(4, twice, "4:33", "\"udp:127.0.0.1:5060\"", "taken by udp:127.0.0.1:5060 of this region", "another");
    let wild = "advertise = \"127.0.0.1\"\nlisten = [\"udp:127.0.0.1:5060\", \"udp:0.0.0.0:5060\"]";
    wrong(4, wild, "5:33", "\"udp:0.0.0.0:5060\"", "taken by udp:127.0.0.1:5060", "another");
    let both = BASE.replace("serve = [\"eu\"]", "serve = [\"eu\", \"us\"]").replace(
        "hostname = \"us.example.com\"",
        "hostname = \"us.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\nupstream = \"x.test\"",
    );
    let found = mistakes(&both);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].wrong.contains("of another region"), "{}", found[0]);
    loads(&replaced(4, "listen = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\", \"udp:[::1]:5060\"]"));
}

#[test]
fn hops() {
    for (text, what) in [
        ("sip:bob@127.0.1.1", "user part"),
        ("sip:127.0.1.1?a=b", "headers"),
        ("sip:127.0.1.1;transport=pigeon", "no transport"),
        ("sip:127.0.1.1;transport=udp;transport=udp", "twice"),
        ("sip:127.0.1.1;maddr=127.0.2.1", "never obeyed"),
        ("sip:127.0.1.1;lr", "means nothing"),
        ("sip:127.0.1.1;;", "no URI parameter"),
        ("127.0.1.1:0", "port 0"),
        ("pbx.test:0", "port 0"),
        ("pbx.test:65536", "no host"),
        ("pbx.test:+5", "no host"),
        ("pbx.test:", "no host"),
        ("", "no host"),
        ("127.0.1.256", "no host"),
        ("[::ffff:127.0.1.1]:5060", "IPv4 within IPv6"),
        ("[fe80::1%1]:5060", "no host"),
    ] {
        wrong(6, &format!("upstream = \"{text}\""), "6:12", &format!("\"{text}\""), what, "");
    }
    let tcp = "\"sip:127.0.1.1;transport=tcp\"";
    wrong(6, &format!("upstream = {tcp}"), "6:12", tcp, "does not listen on TCP", "`tcp:` listener");
}

#[test]
fn what_a_served_region_needs() {
    for (line, key) in [(4, "listen"), (5, "networks"), (6, "upstream")] {
        wrong(line, "", "2:9", "eu", &format!("has no `{key}`"), key);
    }
    wrong(8, "", "7:9", "us", "has no `hostname`", "hostname");
    wrong(4, "listen = []", "2:9", "eu", "has no `listen`", "listen");
    wrong(13, "", "12:21", "carrier", "trunk `carrier` has no `networks`", "networks");
    // What is not served here needs neither.
    loads(&replaced(9, ""));
}

#[test]
fn hostnames_that_mean_two_things() {
    wrong(8, "hostname = \"EU.example.com\"", "8:12", "\"EU.example.com\"", "is the hostname of region `eu` too", "one");
    wrong(0, "global = \"eu.example.com\"", "1:10", "\"eu.example.com\"", "is the hostname of region `eu` too", "its own");
    wrong(8, "hostname = \"acme.eu.example.com\"", "10:10", "acme", "which is region `us`", "another name");
    wrong(8, "hostname = \"carrier.acme.eu.example.com\"", "12:21", "carrier", "which is region `us`", "another name");
    let global = BASE.replace("us.example.com", "acme.sip.test");
    let found = mistakes(&format!("global = \"sip.test\"\n{global}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].wrong.contains("`acme` in front of the global hostname's"), "{}", found[0]);
    let long = format!("hostname = \"{}.test\"", ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(55)].join("."));
    wrong(8, &long, "10:10", "acme", "longer than 253", "shorter");
}

#[test]
fn rejects() {
    wrong(0, "reject = \"twillio\"", "1:10", "\"twillio\"", "no reject profile", "did you mean `twilio`?");
    wrong(0, "reject = \"nobody-at-all\"", "1:10", "\"nobody-at-all\"", "no reject profile", "`generic`");
    wrong(0, "reject = { policy = 302, capacity = 503 }", "1:21", "302", "out of bounds", "400 to 699");
    wrong(0, "reject = { policy = 603, capacity = 603 }", "1:37", "603", "out of bounds", "400 to 599");
    wrong(0, "reject = { policy = 407, capacity = 503 }", "1:21", "407", "challenges", "603");
    wrong(0, "reject = { policy = 603 }", "1:1", "reject", "one code alone", "capacity = 503");
}

#[test]
fn projects_and_trunks() {
    wrong(11, "mode = \"shadwo\"", "11:8", "\"shadwo\"", "not one of the choices", "`enforce` or `shadow`");
    wrong(11, "media = \"on\"", "11:9", "\"on\"", "not one of the choices", "`warn`");
    wrong(11, "source = \"inside\"", "11:10", "\"inside\"", "not one of the choices", "`any` or `in-region`");
    let trunk = |more: &str| format!("networks = [\"127.0.3.0/24\"]\n{more}");
    wrong(
        13,
        &trunk("uri = \"sip:127.0.4.1\""),
        "14:7",
        "\"sip:127.0.4.1\"",
        "outside the trunk's outbound",
        "outbound_networks",
    );
    wrong(13, &trunk("uri = \"carrier.test\""), "14:7", "\"carrier.test\"", "no SIP URI", "sip:");
    wrong(13, &trunk("outbound_networks = []"), "14:1", "outbound_networks", "without `uri`", "`uri`");
    let none = trunk("uri = \"sip:carrier.test\"\noutbound_networks = []");
    wrong(13, &none, "15:1", "outbound_networks", "no network", "may resolve to");
    let tcp = trunk("uri = \"sip:carrier.test;transport=tcp\"");
    wrong(13, &tcp, "14:7", "\"sip:carrier.test;transport=tcp\"", "`eu` does not listen on TCP", "`tcp:` listener");
    wrong(9, "methods = [\"INVITE\"]", "9:12", "\"INVITE\"", "cannot be listed", "`REGISTER` or `PUBLISH`");
}

#[test]
fn limits_and_timers() {
    let max = u64::MAX;
    for (given, column, text, what, right) in [
        ("limits = { transactions = 0 }", 27, "0".to_owned(), "out of bounds", "from 1 to"),
        ("limits = { sources = -1 }", 22, "-1".to_owned(), "out of bounds", "from 1 to"),
        ("limits = { per_source = \"200\" }", 25, "\"200\"".to_owned(), "not a rate", "`200/s`"),
        ("limits = { per_source = \"0/s\" }", 25, "\"0/s\"".to_owned(), "not a rate", "`200/s`"),
        ("limits = { memory = \"64KiB\" }", 21, "\"64KiB\"".to_owned(), "65536 octets are out of bounds", "from 1048576"),
        ("limits = { memory = \"1GB\" }", 21, "\"1GB\"".to_owned(), "not a size", "`256KiB`"),
        ("limits = { message = \"1MiB\" }", 22, "\"1MiB\"".to_owned(), "1048576 octets are out of bounds", "65536"),
        ("limits = { message = \"64kb\" }", 22, "\"64kb\"".to_owned(), "not a size", "`256KiB`"),
        ("limits = { write_queue = 5 }", 26, "5".to_owned(), "out of bounds", "65536"),
        ("limits = { idle = \"31s\" }", 19, "\"31s\"".to_owned(), "out of bounds", "from `32s`"),
        ("limits = { connect = \"2 s\" }", 22, "\"2 s\"".to_owned(), "not a duration", "`500ms`"),
        ("timers = { t1 = \"0ms\" }", 17, "\"0ms\"".to_owned(), "out of bounds", "from `1ms`"),
        ("timers = { t2 = \"100ms\" }", 17, "\"100ms\"".to_owned(), "out of bounds", "from `500ms`"),
        ("timers = { c = \"-1s\" }", 16, "\"-1s\"".to_owned(), "not a duration", "`500ms`"),
        ("timers = { c = \"1w\" }", 16, "\"1w\"".to_owned(), "not a duration", "ms, s, m, h or d"),
        ("timers = { drain = \"99999d\" }", 20, "\"99999d\"".to_owned(), "too long", "36500d"),
        (&format!("timers = {{ drain = \"{max}d\" }}"), 20, format!("\"{max}d\""), "too long", "36500d"),
        ("dns = { vanish = \"2h\" }", 18, "\"2h\"".to_owned(), "out of bounds", "to `1h`"),
        ("dns = { stale = \"30d\" }", 17, "\"30d\"".to_owned(), "out of bounds", "to `7d`"),
    ] {
        wrong(0, given, &format!("1:{column}"), &text, what, right);
    }
    let config = loads(&replaced(0, "limits = { message = \"64KiB\", write_queue = 65536 }\ntimers = { t1 = \"2s\" }"));
    assert_eq!(config.limits.message, 65_535, "what a datagram holds");
    assert_eq!(config.limits.idle, Duration::from_secs(128), "64*T1 where the default would be shorter");
}

#[test]
fn several_mistakes_in_the_order_of_the_file() {
    let text =
        BASE.replace("127.0.1.0/24", "127.0.1.9/24").replace("pin = [\"eu\"]", "pin = [\"ue\"]\nx = 1").replace("udp:", "ftp:");
    let places: Vec<_> = mistakes(&text).iter().map(|mistake| (mistake.line, mistake.column)).collect();
    assert_eq!(places, [(4, 11), (5, 13), (11, 8), (12, 1)]);
}

#[test]
fn a_mistake_is_drawn_with_a_caret_under_the_text() {
    let error = parse(&replaced(1, "serve = [\"eu\", \"zz\"]")).unwrap_err();
    let drawn = "ringfence.toml:1:16: unknown region `zz`\n  |\n1 | serve = [\"eu\", \"zz\"]\n  |                ^^^^\n  = one of: eu, us";
    assert_eq!(error.to_string(), drawn);
    // What a terminal would obey is not printed, and a long line is cut around the text.
    let hostile = parse(&format!("# é\n{}x = \"\u{1b}[31m\"", " ".repeat(500))).unwrap_err().to_string();
    assert!(!hostile.contains('\u{1b}'), "{hostile}");
    assert!(hostile.lines().all(|line| line.chars().count() < 250), "{hostile}");
}

#[test]
fn servers_that_are_none() {
    let at = |servers: &str| format!("networks = [\"127.0.1.0/24\", \"2001:db8:e::/48\"]\nservers = [\"127.0.1.1\", {servers}]");
    let here = |servers: &str, what: &str, right: &str| wrong(5, &at(servers), "6:25", servers, what, right);
    here("\"127.0.2.1\"", "server `127.0.2.1` is outside region `eu`", "within the region's `networks`");
    here("\"127.0.0.0/16:5060\"", "server `127.0.0.0/16:5060` is outside region `eu`", "within the region's `networks`");
    here("\"[2001:db8:f::5]:5060\"", "server `[2001:db8:f::5]:5060` is outside region `eu`", "within");
    here("\"127.0.1.9/24\"", "bits beyond its length", "`127.0.1.0/24`");
    here("\"::ffff:127.0.1.9\"", "IPv4 within IPv6", "`127.0.1.9`");
    here("\"[127.0.1.9]:5060\"", "brackets around IPv4", "`10.20.1.5:5060-5090`");
    here("\"[2001:db8:e::9\"", "has no `]`", "`[2001:db8::5]:5060`");
    here("\"[2001:db8:e::9]5060\"", "something else than a port behind `]`", "`[2001:db8::5]:5060`");
    for ports in ["", "0", "65536", "5060-", "-5090", "5060-5070-5080", "x", "+5060", "5060 "] {
        here(&format!("\"127.0.1.9:{ports}\""), "no port from 1 to 65535", "range of ports");
    }
    here("\"127.0.1.9:5090-5060\"", "ends before it begins", "`5060-5090`");
    here("\"lk.eu.internal\"", "no network and no address", "a network or an address");
    let upstream = "6:12";
    wrong(
        6,
        "upstream = \"127.0.1.1\"\nservers = [\"127.0.1.2\"]",
        upstream,
        "\"127.0.1.1\"",
        "is not in `servers`",
        "in `servers` too",
    );
    let other = "upstream = \"127.0.1.1:5061\"\nservers = [\"127.0.1.1:5060\"]";
    wrong(6, other, upstream, "\"127.0.1.1:5061\"", "upstream 127.0.1.1:5061 is not in `servers`", "address and port");
    wrong(5, "networks = [\"127.0.1.0/24\"]\nservers = []", "2:9", "eu", "no server of region `eu`", "leave `servers` out");
    let shared =
        replaced(13, "networks = [\"127.0.1.0/28\"]").replace("[region.us]", "servers = [\"127.0.1.0/24\"]\n[region.us]");
    let found = mistakes(&shared);
    assert!(found.iter().any(|mistake| mistake.wrong.contains("is an address of a trunk, and so no server")), "{found:#?}");
}

#[test]
fn servers_as_they_may_be_written() {
    let list = [
        "127.0.1.1",
        "127.0.1.0/28",
        "127.0.1.5:5060-5090",
        "127.0.1.64/26:5060",
        "2001:db8:e::5",
        "[2001:db8:e::6]",
        "[2001:db8:e::5]:5060",
        "[2001:db8:e:1::/64]:5060-5061",
        "2001:db8:e:2::/64",
    ];
    let with = format!("networks = [\"127.0.1.0/24\", \"2001:db8:e::/48\"]\nservers = {list:?}");
    let config = loads(&replaced(5, &with));
    let shown: Vec<_> = config.regions[0].servers.as_ref().unwrap().nets().iter().map(ToString::to_string).collect();
    let expected: Vec<_> = list.iter().map(|text| if *text == "[2001:db8:e::6]" { "2001:db8:e::6" } else { text }).collect();
    assert_eq!(shown, expected);
    assert!(config.regions[1].servers.is_none());
}

/// Ten mistakes that newcomers make: the line, what stands there instead, and the message as it is printed.
const TYPICAL: [(usize, &str, &str); 10] = [
    (
        3,
        "serve = [\"eu\"]",
        "3:1 unknown key `serve` in [region.eu] = `serve` belongs at the top of the file, before the first [table]",
    ),
    (4, "listen = [\"127.0.0.1:5060\"]", "4:11 `127.0.0.1:5060` is not a listener = `udp:ADDRESS:PORT`, `tcp:…` or `tls:…`"),
    (
        9,
        "networks = [\"127.0.1.0/24\"]",
        "9:13 `127.0.1.0/24` overlaps `127.0.1.0/24` of region `eu` = a network belongs to one region",
    ),
    (6, "upstream = \"10.0.0.5\"", "6:12 upstream 10.0.0.5 is outside region `eu` = an address within the region's `networks`"),
    (11, "pin = [\"mars\"]", "11:8 unknown region `mars` = "),
    (11, "pins = [\"eu\"]", "11:1 unknown key `pins` in [project.acme] = did you mean `pin`?"),
    (8, "hostname = \"eu.example.com\"", "8:12 `eu.example.com` is the hostname of region `eu` too = one hostname a region"),
    (
        0,
        "secret.file = \"gone.key\"",
        "1:15 gone.key: cannot be read: No such file or directory (os error 2) = a file of at least 16 random octets",
    ),
    (1, "serve = [\"de\"]", "1:10 unknown region `de` = "),
    (
        11,
        "media = \"relay\"",
        "11:9 region `eu`, which project `acme` may use, has no `relay` = relay = [\"udp:10.20.0.5:2223\"] in that region",
    ),
];

#[test]
fn ten_mistakes_that_newcomers_make() {
    for (line, with, message) in TYPICAL {
        let found = mistakes(&replaced(line, with));
        let said: Vec<String> = found.iter().map(|of| format!("{}:{} {} = {}", of.line, of.column, of.wrong, of.right)).collect();
        assert!(said.iter().any(|said| said.starts_with(message)), "{with}: {said:#?}");
    }
}
