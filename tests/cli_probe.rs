//! `ringfence probe` from outside: towards a daemon, and towards telephones that ring, answer, or say nothing.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

#[expect(dead_code, reason = "what the program asks, and that a zone changes, is tested with the resolver")]
#[path = "shell_dns/server.rs"]
mod server;

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ringfence::net::Daemon;
use serde_json::{Value, json};
use server::NameServer;

const PATIENCE: Duration = Duration::from_secs(10);

fn probe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("probe").args(arguments).output().unwrap()
}

fn told(arguments: &[&str]) -> (Value, i32) {
    let output = probe(&[arguments, &["--json"]].concat());
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (found, output.status.code().unwrap())
}

/// A daemon for region eu at 127.54.NETWORK.1 whose trunk is this machine, and its configuration in a file.
fn daemon(network: u8, dns: SocketAddr) -> (Daemon, PathBuf) {
    let text = format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\n\
         listen = [\"udp:127.54.{network}.1:5060\", \"tcp:127.54.{network}.1:5060\"]\nnetworks = [\"127.54.{network}.0/24\"]\n\
         upstream = \"127.54.{network}.200\"\n[region.us]\nhostname = \"us.sip.example.com\"\nnetworks = [\"198.51.100.0/24\"]\n\
         [project.acme]\npin = [\"eu\"]\n[project.acme.trunk.here]\nnetworks = [\"127.0.0.1/32\"]\n\
         [health]\ninterval = \"0s\"\n[dns]\nservers = [\"{dns}\"]\n"
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{network}-{}.toml", std::process::id()));
    std::fs::write(&path, &text).unwrap();
    let daemon = Daemon::start(Arc::new(ringfence::config::parse(&path, &text).unwrap())).unwrap();
    assert!(daemon.ready(PATIENCE), "{:?}", daemon.missing());
    (daemon, path)
}

/// A telephone that says what `says` makes of each request, until that is the end; and its address.
fn telephone(mut says: impl FnMut(&str) -> Option<Vec<String>> + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let addr = socket.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut bytes = vec![0; 65_535];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).unwrap();
            let Some(answers) = says(std::str::from_utf8(&bytes[..length]).unwrap()) else { return };
            for answer in answers {
                socket.send_to(answer.as_bytes(), from).unwrap();
            }
        }
    });
    (addr, thread)
}

/// An answer to a request, from a telephone at an address that nobody sends to.
fn answer(request: &str, line: &str) -> String {
    let rows = request.lines().filter(|row| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| row.starts_with(name)));
    let rows: String = rows.flat_map(|row| [row, "\r\n"]).collect();
    let to = request.lines().find(|row| row.starts_with("To:")).unwrap();
    let tag = if to.contains("tag=") || line.starts_with("100") { "" } else { ";tag=callee" };
    format!(
        "SIP/2.0 {line}\r\n{rows}{to}{tag}\r\nRecord-Route: <sip:127.0.0.1:9;lr>\r\nContact: <sip:callee@127.0.0.2>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn method(request: &str) -> &str {
    request.split(' ').next().unwrap()
}

#[test]
fn a_daemon_answers_and_refuses() {
    let zone = "acme.us.sip.example.com 60 A 127.54.1.1\neu.sip.example.com 60 A 127.54.1.1\n\
                _sip._tcp.eu.sip.example.com 60 SRV 1 1 5060 eu.sip.example.com\n";
    let server = NameServer::start(zone);
    let (_daemon, path) = daemon(1, server.addr);
    let path = path.to_str().unwrap();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md")).unwrap();
    let (_, shown) = page.split_once("<!-- probe -->\n```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let output = probe(&["-c", path, "--invite", "sip:+4930123@acme.us.sip.example.com"]);
    let out = String::from_utf8(output.stdout).unwrap().replace("127.54.1.1", "203.0.113.10");
    // How long it takes is another each time.
    let untimed = |text: &str| {
        let lines = text.lines().map(|line| line.split_once(" after ").map_or(line, |(said, _)| said));
        lines.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    assert_eq!(untimed(&out), untimed(shown));
    for transport in ["udp", "tcp"] {
        let output = probe(&["-c", path, "-t", transport, "sip:eu.sip.example.com"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains(&format!("to 127.54.1.1:5060 over {transport}, inside region eu\n  200 OK after ")), "{out}");
        assert!(out.contains("60s  127.54.1.1  inside region eu"), "{out}");
        assert!(!out.contains('\u{1b}'), "no colour but on a terminal: {out}");
    }
    let (found, code) = told(&["-c", path, "--invite", "+4930@acme.us.sip.example.com"]);
    assert_eq!((code, &found["outcome"]), (1, &json!("refused")), "{found:#}");
    let answer = &found["tried"][0]["answer"];
    assert_eq!(answer["code"], 603);
    assert_eq!(answer["ringfence"], json!({ "id": 110, "token": "foreign-endpoint", "region": "eu" }));
    assert_eq!(answer["reason"], json!(["Q.850;cause=21;text=\"foreign-endpoint\""]));
    let output = probe(&["-c", path, "--invite", "+4930@acme.us.sip.example.com"]);
    let out = String::from_utf8(output.stdout).unwrap();
    let says =
        "Ringfence of region eu says 110 foreign-endpoint, Call Belongs To Another Region; final: it may be tried nowhere else";
    assert!(out.contains(says), "{out}");
    assert!(
        out.contains("eu.sip.example.com warns: Request-URI host acme.us.sip.example.com is an endpoint of region us"),
        "{out}"
    );
}

#[test]
fn a_call_that_rings_is_cancelled() {
    let mut invite = String::new();
    let (addr, thread) = telephone(move |request| match method(request) {
        "INVITE" if invite.is_empty() => {
            request.clone_into(&mut invite);
            Some(vec![answer(request, "100 Trying"), answer(request, "180 Ringing")])
        }
        "CANCEL" => Some(vec![answer(request, "200 OK"), answer(&invite, "487 Request Terminated")]),
        "ACK" => {
            assert!(request.contains(";tag=callee\r\n"), "{request}");
            None
        }
        _ => Some(Vec::new()),
    });
    let (found, code) = told(&["--invite", &format!("sip:b@{addr}")]);
    thread.join().unwrap();
    assert_eq!((code, &found["outcome"], &found["tried"][0]["cancelled"]), (0, &json!("answered"), &json!(true)), "{found:#}");
    assert_eq!(found["tried"][0]["provisional"], json!([100, 180]));
    assert_eq!(found["tried"][0]["answer"]["code"], 487);
}

#[test]
fn a_call_that_is_answered_is_ended() {
    let (mut ok, mut acknowledged) = (String::new(), 0);
    let (addr, thread) = telephone(move |request| match method(request) {
        "INVITE" => {
            ok = answer(request, "200 OK");
            Some(vec![ok.clone()])
        }
        "ACK" => {
            assert!(request.starts_with("ACK sip:callee@127.0.0.2 SIP/2.0\r\n"), "{request}");
            assert!(request.contains("\r\nRoute: <sip:127.0.0.1:9;lr>\r\n"), "{request}");
            acknowledged += 1;
            Some(Vec::new())
        }
        // As if the first ACK had been lost: it comes again before the BYE is answered.
        "BYE" if acknowledged == 1 => Some(vec![ok.clone()]),
        "BYE" => {
            assert!(request.contains("\r\nCSeq: 2 BYE\r\n") && request.contains(";tag=callee\r\n"), "{request}");
            Some(vec![answer(request, "200 OK"), "end".to_owned()])
        }
        _ => None,
    });
    let (found, code) = told(&["--invite", &format!("sip:b@{addr}")]);
    assert_eq!((code, &found["tried"][0]["bye"]), (0, &json!(200)), "{found:#}");
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"END now", addr).unwrap();
    thread.join().unwrap();
}

#[test]
fn what_says_nothing_is_told() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let (found, code) = told(&["--timeout", "1", &format!("sip:{addr}")]);
    assert_eq!((code, &found["outcome"], &found["tried"][0]["answer"]), (2, &json!("silent"), &Value::Null), "{found:#}");
    assert_eq!(found["tried"][0]["sent"], 2, "repeated after T1: {found:#}");
    drop(socket);
    for transport in ["udp", "tcp"] {
        let (found, code) = told(&["-t", transport, &format!("sip:{addr}")]);
        assert_eq!(code, 2, "{found:#}");
        assert!(found["tried"][0]["error"].as_str().unwrap().contains("refused"), "{found:#}");
    }
}

#[test]
fn an_invite_that_is_never_answered_is_cancelled_too() {
    let mut invite = String::new();
    let (addr, thread) = telephone(move |request| match method(request) {
        "INVITE" => {
            request.clone_into(&mut invite);
            Some(vec![answer(request, "100 Trying")])
        }
        "CANCEL" => Some(vec![answer(request, "200 OK"), answer(&invite, "487 Request Terminated")]),
        _ => None,
    });
    let (found, code) = told(&["--timeout", "1", "--invite", &format!("sip:b@{addr}")]);
    thread.join().unwrap();
    assert_eq!((code, &found["tried"][0]["cancelled"]), (1, &json!(true)), "it did not ring: {found:#}");
}

#[test]
fn with_a_configuration_nothing_goes_outside() {
    let (addr, thread) = telephone(|request| {
        assert!(request.starts_with("END"), "sent outside: {request}");
        None
    });
    let server = NameServer::start("");
    let (_daemon, path) = daemon(2, server.addr);
    let (found, code) = told(&["-c", path.to_str().unwrap(), &format!("sip:{addr}")]);
    assert_eq!((code, &found["tried"][0]["outside"]), (2, &json!(true)), "{found:#}");
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"END now", addr).unwrap();
    thread.join().unwrap();
    let (found, code) = told(&["-c", path.to_str().unwrap(), "sip:nowhere.example.net"]);
    assert_eq!((code, found["tried"].as_array().map(Vec::len)), (2, Some(0)), "{found:#}");
}

#[test]
fn what_cannot_be_called_is_said() {
    for (uri, says) in [
        ("sip:a.example.net?Subject=x", "has headers"),
        ("sip:a.example.net;transport=sctp", "asks for a transport"),
        ("sip:", "is no SIP URI"),
        ("sip:a b", "is no SIP URI"),
    ] {
        let output = probe(&[uri]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{uri}: {output:?}");
    }
    assert_eq!(probe(&["-c", "no-such-file.toml", "sip:a.example.net"]).status.code(), Some(66));
}

#[test]
fn a_stranger_is_told_what_a_bare_403_means() {
    let server = NameServer::start("acme.eu.sip.example.com 60 A 127.54.7.1");
    let (_daemon, path) = daemon(7, server.addr);
    let path = path.to_str().unwrap();
    let out = |arguments: &[&str]| {
        let output = probe(arguments);
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    };
    // This machine's other addresses are in no trunk's networks.
    let (text, code) = out(&["-c", path, "--bind", "127.0.0.9", "--invite", "sip:1@acme.eu.sip.example.com"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("403 without X-Ringfence is what a stranger is told; your address 127.0.0.9 is in no trunk's networks"),
        "{text}"
    );
    let (text, _) = out(&["--bind", "127.0.0.9", "--invite", "sip:1@127.54.7.1"]);
    assert!(text.contains("the address that you call from is in no trunk's networks"), "{text}");
    let (found, _) = told(&["-c", path, "--bind", "127.0.0.9", "--invite", "sip:1@acme.eu.sip.example.com"]);
    assert!(found["tried"][0]["hint"].as_str().unwrap().contains("what a stranger is told"), "{found:#}");
    // The trunk's own address is told more.
    let (text, _) = out(&["-c", path, "--bind", "127.0.0.1", "--invite", "sip:1@nobody.eu.sip.example.com"]);
    assert!(!text.contains("stranger"), "{text}");
    let (text, code) = out(&["--bind", "203.0.113.77", "sip:1@127.54.7.1"]);
    assert!(code == 2 && text.contains("203.0.113.77 is no address of this machine"), "{text}");
    // Wherever DNS says it is, and though nobody can be asked.
    let (text, code) = out(&["--to", "127.54.7.1", "--bind", "127.0.0.1", "--invite", "sip:1@nobody.eu.sip.example.com"]);
    assert!(code == 1 && text.contains("to 127.54.7.1:5060 over udp"), "{text}");
    let silent = Path::new(path).with_extension("silent.toml");
    let file = std::fs::read_to_string(path).unwrap().replace(&server.addr.to_string(), "127.54.7.9:53");
    std::fs::write(&silent, file).unwrap();
    let (text, code) = out(&["-c", silent.to_str().unwrap(), "sip:1@acme.eu.sip.example.com"]);
    assert!(code == 69 && text.contains("because DNS failed") && text.contains("--to ADDRESS:PORT calls without DNS"), "{text}");
}

#[test]
fn a_port_that_speaks_tls_or_does_not_is_named() {
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    // It takes connections and hangs up, as a server does that is greeted in another language.
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            drop(stream);
        }
    });
    let ca = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-ca-{}.pem", std::process::id()));
    let key = rcgen::KeyPair::generate().unwrap();
    let mut signer = rcgen::CertificateParams::new(Vec::new()).unwrap();
    signer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(&ca, signer.self_signed(&key).unwrap().pem()).unwrap();
    let says = |uri: &str, more: &[&str]| {
        let output = probe(&[more, &["--timeout", "1", uri]].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = says(&format!("sip:a@127.0.0.1:{port};transport=tls"), &["--ca", ca.to_str().unwrap()]);
    assert!(text.contains(&format!("port {port} may speak no TLS: sip:…:{port};transport=tcp tries it without")), "{text}");
    let text = says(&format!("sip:a@127.0.0.1:{port};transport=tcp"), &[]);
    assert!(text.contains(&format!("port {port} may want TLS: sips:…")), "{text}");
    let text = says("sip:a@127.0.0.1:5061", &[]);
    assert!(text.contains("5061 is the port of TLS"), "{text}");
}
