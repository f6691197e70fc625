//! `ringfence explain` from outside: what it prints, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

mod page;
#[expect(dead_code, reason = "what the program asks, and that a zone changes, is tested with the resolver")]
#[path = "shell_dns/server.rs"]
mod server;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use page::{block, read};
use serde_json::{Value, json};
use server::NameServer;

const CONFIG: &str = r#"
serve  = ["eu", "uk"]
global = "sip.example.com"
[region.eu]
hostname = "eu.sip.example.com"
listen   = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]
networks = ["10.1.0.0/16", "192.0.2.1/32"]
upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]
nearest  = ["us"]
[region.uk]
hostname = "uk.sip.example.com"
listen   = ["udp:192.0.2.2:5060"]
networks = ["10.2.0.0/16"]
upstream = "sip:lk.uk.example"
[region.us]
hostname = "us.sip.example.com"
networks = ["10.3.0.0/16"]
upstream = "10.3.0.5"
[project.acme]
pin    = ["eu", "uk"]
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
media    = ["203.0.113.0/24"]
[project.free]
[project.free.trunk.carrier]
networks = ["198.51.101.0/24"]
[project.watcher]
mode = "shadow"
pin  = ["us"]
[project.watcher.trunk.carrier]
networks = ["198.51.103.0/24"]
"#;

fn write(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("explain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs the command with a message on standard input.
fn explain(config: &Path, arguments: &[&str], message: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["explain", "-c", config.to_str().unwrap()])
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends without reading is told by its exit code.
    let _ = child.stdin.take().unwrap().write_all(message.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What it says of a message to region eu, for machines, and its exit code.
fn told(config: &str, source: &str, arguments: &[&str], message: &str) -> (Value, i32) {
    let path = write(&format!("{:?}.toml", std::thread::current().id()), config);
    let arguments = [&["--json", "--source", source], arguments].concat();
    let output = explain(&path, &arguments, message);
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (found, output.status.code().unwrap())
}

fn invite(host: &str, media: &str) -> String {
    format!(
        "INVITE sip:+4930@{host} SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK1\nFrom: <sip:a@example.net>;tag=f\n\
         To: <sip:+4930@{host}>\nCall-ID: 1@trunk\nCSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:a@198.51.100.7>\n\
         Content-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 192.0.2.99\ns=-\nc=IN IP4 {media}\nt=0 0\nm=audio 4000 RTP/AVP 0\n"
    )
}

/// `test: result`, in order.
fn marks(found: &Value) -> Vec<String> {
    let tests = found["tests"].as_array().unwrap().iter();
    tests.map(|of| format!("{}: {}", of["test"].as_str().unwrap(), of["result"].as_str().unwrap())).collect()
}

fn addresses(found: &Value) -> Vec<&str> {
    found["targets"].as_array().unwrap().iter().map(|of| of["address"].as_str().unwrap()).collect()
}

const EU: &[&str] = &["--listener", "eu"];

#[test]
fn the_page_shows_what_is_printed() {
    let config = write("ringfence.toml", block(&read("docs/configuration.md"), "<!-- example -->"));
    write("ringfence.key", "a key that only this test knows, long enough\n");
    let output = explain(&config, &["--source", "54.171.127.193:5060"], block(&read("docs/refusals.md"), "<!-- request -->"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // The tag is made by the key, which is each reader's own.
    let without_tag = |text: &str| {
        let lines =
            text.lines().map(|line| line.split_once(">;tag=").filter(|_| line.contains(" To: ")).map_or(line, |(to, _)| to));
        lines.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    assert_eq!(without_tag(text(&output.stdout)), without_tag(block(&read("docs/commands.md"), "<!-- explain -->")));
}

#[test]
fn a_call_that_may_pass_shows_its_tests_and_targets() {
    let (found, code) = told(CONFIG, "198.51.100.7:5060", EU, &invite("acme.eu.sip.example.com", "203.0.113.9"));
    assert_eq!((code, &found["verdict"], &found["reason"]["id"]), (0, &json!("accept"), &json!(100)), "{found:#}");
    assert_eq!(
        marks(&found),
        ["source: pass", "host: pass", "project: pass", "pin: pass", "media: pass", "targets: pass", "targets: pass"],
        "{found:#}"
    );
    assert_eq!(found["tests"][4]["value"], "address 203.0.113.9");
    assert_eq!(found["tests"][4]["against"], "networks of region eu or of trunk carrier of acme: 203.0.113.0/24");
    assert_eq!(addresses(&found), ["10.1.0.5:5060", "10.1.0.6:5060"]);
    assert!(found["answer"]["text"].as_str().unwrap().starts_with("SIP/2.0 100 Trying\r\n"), "{found:#}");
    assert_eq!(found["otherwise"]["code"], 503, "pinned: nothing beyond the region");
    let row = "X-Ringfence: 100; reason=in-region; region=eu; project=acme; trunk=carrier\r\n";
    assert!(found["targets"][0]["request"].as_str().unwrap().contains(row), "{found:#}");
    assert_eq!(found["repairs"], json!(["ended the lines with CRLF"]));
}

#[test]
fn a_relay_is_named_and_not_asked() {
    let config = CONFIG.replace("nearest  = [\"us\"]", "relay = [\"udp:10.1.0.8:2223\"]");
    let config = config.replace("pin    = [\"eu\", \"uk\"]", "pin = [\"eu\"]\nmedia = \"relay\"");
    let (found, code) = told(&config, "198.51.100.7:5060", EU, &invite("acme.eu.sip.example.com", "203.0.113.9"));
    assert_eq!((code, &found["verdict"], &found["reason"]["id"]), (0, &json!("accept"), &json!(100)), "{found:#}");
    assert_eq!(addresses(&found), ["10.1.0.5:5060", "10.1.0.6:5060"]);
    let last = found["tests"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["test"], &last["result"]), (&json!("media"), &json!("not-tested")));
    assert_eq!(last["against"], "relay udp:10.1.0.8:2223, which is not asked here");
    let (found, code) = told(&config, "198.51.100.7:5060", EU, &invite("acme.eu.sip.example.com", "192.0.2.99"));
    assert_eq!((code, &found["reason"]["id"]), (1, &json!(140)), "{found:#}");
}

#[test]
fn the_targets_go_on_where_the_daemon_would() {
    let (found, code) = told(CONFIG, "198.51.101.7:5060", EU, &invite("free.eu.sip.example.com", "10.1.0.9"));
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(addresses(&found), ["10.1.0.5:5060", "10.1.0.6:5060", "10.3.0.5:5060"]);
    assert_eq!(found["targets"][2]["regions"], json!(["us"]));
    assert!(found["targets"][2]["request"].as_str().unwrap().contains("reason=failover; region=us"), "{found:#}");
}

#[test]
fn each_test_says_what_it_compared() {
    let acme = "198.51.100.7:5060";
    for (source, host, media, id, test, value) in [
        ("192.0.2.200:5060", "acme.eu.sip.example.com", "203.0.113.9", 120, "source", "192.0.2.200"),
        (acme, "free.eu.sip.example.com", "203.0.113.9", 120, "project", "source 198.51.100.7"),
        (acme, "nobody.eu.sip.example.com", "203.0.113.9", 111, "host", "Request-URI host nobody.eu.sip.example.com"),
        (acme, "acme.us.sip.example.com", "203.0.113.9", 110, "host", "Request-URI host acme.us.sip.example.com"),
        (acme, "acme.uk.sip.example.com", "203.0.113.9", 112, "host", "Request-URI host acme.uk.sip.example.com"),
        (acme, "acme.eu.sip.example.com", "10.3.0.9", 140, "media", "address 10.3.0.9"),
        (acme, "acme.eu.sip.example.com", "media.example", 142, "media", "SDP c= cannot be checked: IN IP4 media.example"),
    ] {
        let (found, code) = told(CONFIG, source, EU, &invite(host, media));
        assert_eq!((code, &found["verdict"], &found["reason"]["id"]), (1, &json!("refuse"), &json!(id)), "{found:#}");
        let failed: Vec<_> = found["tests"].as_array().unwrap().iter().filter(|of| of["result"] == "fail").collect();
        assert_eq!(failed.len(), 1, "{found:#}");
        assert_eq!((&failed[0]["test"], &failed[0]["value"]), (&json!(test), &json!(value)), "{found:#}");
        assert!(found["answer"]["code"].as_u64().unwrap() >= 400 && addresses(&found).is_empty(), "{found:#}");
    }
}

#[test]
fn a_project_that_only_watches_says_what_it_saw() {
    let (found, code) = told(CONFIG, "198.51.103.7:5060", EU, &invite("watcher.eu.sip.example.com", "10.3.0.9"));
    assert_eq!((code, &found["verdict"], &found["reason"]["id"]), (0, &json!("shadow"), &json!(130)), "{found:#}");
    assert_eq!(found["why"], "project watcher is pinned to us, not eu", "{found:#}");
    let marks = marks(&found);
    assert!(marks.contains(&"pin: shadow".to_owned()) && marks.contains(&"media: shadow".to_owned()), "{marks:?}");
}

#[test]
fn what_hangs_on_something_else_cannot_be_told() {
    let carrier = "198.51.100.7:5060";
    let uk = &["--listener", "udp:192.0.2.2:5060", "--offline"];
    let (found, code) = told(CONFIG, carrier, uk, &invite("acme.uk.sip.example.com", "203.0.113.9"));
    assert_eq!((code, &found["verdict"], &found["why"]), (2, &json!("unknown"), &json!("what sip:lk.uk.example resolves to")));
    // What is refused before needs no name.
    let (found, code) = told(CONFIG, carrier, uk, &invite("acme.uk.sip.example.com", "10.1.0.9"));
    assert_eq!((code, &found["reason"]["id"]), (1, &json!(140)), "{found:#}");
    // Name servers that say nothing are no answer.
    let zone = "lk.uk.example * servfail\n_sip._udp.lk.uk.example * servfail\n_sip._tcp.lk.uk.example * servfail\n";
    let config = format!("{CONFIG}[dns]\nservers = [\"{}\"]\n", NameServer::start(zone).addr);
    let (found, code) = told(&config, carrier, &["--listener", "uk"], &invite("acme.uk.sip.example.com", "203.0.113.9"));
    assert_eq!((code, &found["names"][0]["failed"]), (2, &json!(true)), "{found:#}");
    let config = format!("{CONFIG}[dns]\nservers = [\"{}\"]\n", NameServer::start("lk.uk.example 60 A 10.2.0.7\n").addr);
    let (found, code) = told(&config, carrier, &["--listener", "uk"], &invite("acme.uk.sip.example.com", "203.0.113.9"));
    assert_eq!((code, addresses(&found)), (0, vec!["10.2.0.7:5060"]), "{found:#}");
    let response = "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:b@c>;tag=2\n\
         Call-ID: 1\nCSeq: 1 INVITE\nContent-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 1.1.1.1\ns=-\nc=IN IP4 10.3.0.9\nt=0 0\nm=audio 4 RTP/AVP 0\n";
    let (found, code) = told(CONFIG, "10.1.0.5:5060", EU, response);
    assert_eq!((code, &found["verdict"]), (2, &json!("unknown")), "{found:#}");
    assert_eq!(marks(&found), ["source: pass", "media: fail"], "{found:#}");
    let bye = |route: &str| {
        format!(
            "BYE sip:a@10.1.0.5 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK2\nFrom: <sip:a@b>;tag=1\nTo: <sip:b@c>;tag=2\n\
             Call-ID: 1\nCSeq: 2 BYE\nMax-Forwards: 70\n{route}\n"
        )
    };
    let token = "Route: <sip:192.0.2.1;lr;rf=1-00000000000000000000000000000000>\n";
    let (found, code) = told(CONFIG, carrier, EU, &bye(token));
    assert_eq!((code, &found["verdict"]), (2, &json!("unknown")), "the key is not in the file: {found:#}");
    let (found, code) = told(CONFIG, carrier, EU, &bye(""));
    assert_eq!((code, &found["reason"]["id"]), (1, &json!(170)), "{found:#}");
    let (found, code) = told(CONFIG, carrier, EU, &bye("").replace("BYE", "CANCEL").replace(";tag=2", ""));
    assert_eq!((code, &found["verdict"]), (2, &json!("unknown")), "{found:#}");
}

/// Who is a server hangs on names, if the region names no servers.
#[test]
fn a_call_out_is_a_servers_by_its_name() {
    let trunk = "media    = [\"203.0.113.0/24\"]";
    let config = CONFIG.replace(trunk, &format!("{trunk}\nuri = \"sip:198.51.100.9\""));
    let call = invite("carrier.acme.uk.sip.example.com", "10.2.0.9");
    let uk = &["--listener", "udp:192.0.2.2:5060"];
    let (found, code) = told(&config, "10.2.0.7:5060", &[uk[0], uk[1], "--offline"], &call);
    assert_eq!((code, &found["why"]), (2, &json!("what sip:lk.uk.example resolves to")), "{found:#}");
    // Nobody outside the region is a server of it, whatever its names are.
    let (found, code) = told(&config, "192.0.2.200:5060", &[uk[0], uk[1], "--offline"], &call);
    assert_eq!((code, &found["reason"]["id"]), (1, &json!(120)), "{found:#}");
    let dns = format!("{config}[dns]\nservers = [\"{}\"]\n", NameServer::start("lk.uk.example 60 A 10.2.0.7\n").addr);
    let (found, code) = told(&dns, "10.2.0.7:5060", uk, &call);
    assert_eq!((code, addresses(&found)), (0, vec!["198.51.100.9:5060"]), "{found:#}");
    let (found, code) = told(&dns, "10.2.0.8:5060", uk, &call);
    assert_eq!((code, &found["reason"]["id"]), (1, &json!(120)), "{found:#}");
    let named = config.replace("\"sip:lk.uk.example\"", "\"sip:lk.uk.example\"\nservers = [\"10.2.0.8\"]");
    let (found, code) = told(&named, "10.2.0.8:5060", &[uk[0], uk[1], "--offline"], &call);
    assert_eq!((code, addresses(&found)), (0, vec!["198.51.100.9:5060"]), "{found:#}");
}

#[test]
fn other_answers_are_told_too() {
    let options = "OPTIONS sip:eu.sip.example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK2\nFrom: <sip:a@b>;tag=1\n\
         To: <sip:b@c>\nCall-ID: 1\nCSeq: 2 OPTIONS\nMax-Forwards: 70\n\n";
    let (found, code) = told(CONFIG, "198.51.100.7:5060", EU, options);
    assert_eq!((code, &found["answer"]["code"]), (0, &json!(200)), "{found:#}");
    let (found, code) = told(CONFIG, "198.51.100.7:5060", EU, &options.replace("OPTIONS", "REGISTER"));
    assert_eq!((code, &found["answer"]["code"]), (1, &json!(405)), "{found:#}");
    for transport in ["udp", "tcp"] {
        let broken = options.replace('\n', "\r\n").replace("Call-ID: 1\r\n", "Call-ID: 1\r\nContent-Length: 9\r\n");
        let (found, code) = told(CONFIG, "198.51.100.7:5060", &["-t", transport, "-l", "eu"], &broken);
        assert_eq!((code, &found["answer"]["code"], &found["repairs"]), (1, &json!(400), &json!([])), "{found:#}");
    }
}

#[test]
fn what_cannot_be_asked_is_said() {
    let path = write("asked.toml", CONFIG);
    let message = invite("acme.eu.sip.example.com", "203.0.113.9");
    for (arguments, message, code, says) in [
        (
            &["-s", "198.51.100.7:5060"][..],
            message.as_str(),
            2,
            "say which by --listener: udp:192.0.2.1:5060, udp:192.0.2.2:5060",
        ),
        (&["-s", "[2001:db8::1]:5060"], &message, 2, "no listener takes udp from [2001:db8::1]:5060"),
        (&["-s", "198.51.100.7:5060", "-l", "us"], &message, 2, "no listener is `us`"),
        (&["-s", "198.51.100.7:5060", "-l", "eu"], "hello\n", 2, "no start line"),
        (&["-s", "198.51.100.7", "-l", "us"], &message, 2, "no listener is `us`"),
        (&["-s", "carrier"], &message, 2, "this is no address: 192.0.2.7:5060, 192.0.2.7 or [2001:db8::7]:5060 would be right"),
    ] {
        let output = explain(&path, arguments, message);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains(says), "{says}: {output:?}");
    }
    let output = explain(Path::new("no-such-file.toml"), &["-s", "198.51.100.7:5060"], &message);
    assert_eq!(output.status.code(), Some(66));
    // TCP has one listener: nothing to ask.
    let output = explain(&path, &["-s", "198.51.100.7:5060", "-t", "tcp"], &message.replace("CSeq", "Content-Length: 0\nCSeq"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!output.stdout.contains(&0x1b), "no colour but on a terminal");
}

#[test]
fn the_last_row_is_of_the_test_that_refused() {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["eu.sip.example.com", "*.eu.sip.example.com"].map(str::to_owned);
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let (certificate, key) = (write("rows.pem", &certificate.pem()), write("rows.key", &key.serialize_pem()));
    let tls = format!("tls = {{ certificate = \"{}\", key = \"{}\" }}\nnearest ", certificate.display(), key.display());
    let config =
        CONFIG.replace("nearest ", &tls).replace("\"tcp:192.0.2.1:5060\"", "\"tcp:192.0.2.1:5060\", \"tls:192.0.2.1:5061\"");
    let call = invite("acme.eu.sip.example.com", "203.0.113.9");
    // A stream is framed by its Content-Length.
    let (head, _) = call.split_once("Content-Type").unwrap();
    let secure = head.replace("SIP/2.0/UDP", "SIP/2.0/TLS") + "Content-Length: 0\n\n";
    let sni = |host| ["--transport", "tls", "--listener", "eu", "--sni", host];
    let (found, code) = told(&config, "198.51.100.7:5060", &sni("acme.eu.sip.example.com"), &secure);
    assert_eq!((code, &found["verdict"]), (0, &json!("accept")), "{found:#}");
    assert!(marks(&found).iter().all(|mark| mark.ends_with(": pass")), "{found:#}");
    let routed = call.replace("Contact:", "Route: <sip:192.0.2.1;lr>\nContact:");
    for (arguments, message, id, last) in [
        (&sni("acme.us.sip.example.com")[..], secure.as_str(), 112, "host: fail"),
        (&sni("us.sip.example.com"), &secure, 112, "host: fail"),
        (EU, &routed, 170, "dialog: fail"),
    ] {
        let (found, code) = told(&config, "198.51.100.7:5060", arguments, message);
        assert_eq!((code, &found["verdict"], &found["reason"]["id"]), (1, &json!("refuse"), &json!(id)), "{found:#}");
        assert_eq!(marks(&found).last().map(String::as_str), Some(last), "{found:#}");
    }
}

/// A token with this issuer, which nobody has signed.
fn token(issuer: &str) -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part(&format!(r#"{{"iss":"{issuer}"}}"#)))
}

#[test]
fn a_realtime_client_is_explained_by_the_gates_own_code() {
    let text = CONFIG
        .replace("[region.us]", "realtime = \"wss://uk.rtc.example.com\"\n[region.us]\nrealtime = \"wss://us.rtc.example.com\"")
        .replace(
            "[project.watcher]",
            "[project.other]\npin = [\"us\"]\napi_keys = [\"APIother\"]\n[project.watcher]\napi_keys = [\"APIwatcher\"]",
        );
    let config = write("realtime.toml", &format!("{text}\n[gate]\nlisten = \"127.0.0.1:9100\"\n"));
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str], input: &str| {
        let arguments = [&["explain", "-c", config], arguments].concat();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let other = token("APIother");
    let (code, told, _) = run(&["--realtime", "-", "--listener", "eu"], &format!("{other}\n"));
    let page = read("docs/commands.md");
    assert_eq!((code, &*told), (1, block(&page, "<!-- realtime -->")));
    assert!(!told.contains(&other));

    let url = format!("https://uk.rtc.example.com/twirp/livekit.RoomService/ListRooms?access_token={other}");
    let (code, told, _) = run(&["--realtime", &url, "--json"], "");
    let told: Value = serde_json::from_str(&told).unwrap();
    let us = json!([{ "region": "us", "url": "wss://us.rtc.example.com" }]);
    assert_eq!(
        (code, &told["key"], told["regions"].as_array().unwrap().len()),
        (1, &json!("APIother"), 1),
        "the host says the region"
    );
    assert_eq!((&told["regions"][0]["region"], &told["regions"][0]["code"]), (&json!("uk"), &json!(451)));
    assert_eq!(told["regions"][0]["settings_regions"], us);
    let (_, told, _) = run(&["--realtime", &format!("\"Bearer {other}\""), "--json"], "");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["key"], told["regions"].as_array().unwrap().len()), (&json!("APIother"), 2));
    // Who is refused asks there where it may go.
    let ask = |token: &str| format!("https://uk.rtc.example.com/settings/regions?access_token={token}");
    let (code, told, _) = run(&["--realtime", &ask(&other)], "");
    assert!(code == 0 && told.contains("the client gets 200 and reads  us wss://us.rtc.example.com"), "{told}");
    let (code, told, _) = run(&["--realtime", &ask(&other), "--json"], "");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["regions"][0]["code"], &told["regions"][0]["settings_regions"]), (0, &json!(200), &us));
    let (code, told, _) = run(&["--realtime", &ask(&token("APInobody"))], "");
    assert!(code == 1 && told.contains("the client gets 401"), "{told}");
    let (_, told, _) = run(&["--realtime", &format!("wss://us.rtc.example.com/rtc?access_token={other}")], "");
    assert!(told.contains("the host is region us's `realtime`, which is not served here: the gate there decides"), "{told}");

    let (code, told, _) = run(&["--realtime", &token("APIwatcher")], "");
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("accepted, since its project is in shadow mode: 130 pinned-elsewhere"), "{told}");
    assert!(told.contains("the gate says 200: the server behind answers"), "{told}");
    let (code, told, _) = run(&["--realtime", "wss://x/rtc?access_token=a;b", "-l", "eu"], "");
    assert_eq!(code, 1);
    assert!(told.contains("refused: 120 unknown-source, the query may hold no `;`"), "{told}");
    let (code, _, complaint) = run(&["--realtime", &other, "-l", "us"], "");
    assert_eq!(code, 2);
    assert!(complaint.contains("`us` is no served region: eu, uk"), "{complaint}");
}
