//! How a record names a call: computed again by the lines of the page for auditors, which know no program of ours.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::audit::Audited;
use crate::harness::{Ask, Daemon, Seen};

/// The lines of the page that name a call.
fn script() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/evidence.md")).unwrap();
    let (_, rest) = page.split_once("<!-- call -->\n```sh\n").unwrap();
    rest.split_once("\n```\n").unwrap().0.to_owned()
}

#[test]
fn a_call_is_named_as_the_page_says() {
    let audited = Audited::claim();
    let site = &audited.site;
    let mut daemon = Daemon::start(site, &audited.plan(""));
    let socket = UdpSocket::bind(site.carrier(20)).unwrap();
    socket.connect(site.door()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The last one whose name is not hashed first, the first one whose is, and two others.
    let tag = "the-tag-1";
    let lengths = [20, 254 - 1 - tag.len(), 254 - tag.len(), 900];
    let names: Vec<String> = lengths.iter().map(|&length| "a1@".repeat(length).chars().take(length).collect()).collect();
    for call_id in &names {
        let mut ask = Ask::new("OPTIONS", "sip:user@acme.us.sip.example.com", site.carrier(20), "udp");
        ask.call_id.clone_from(call_id);
        ask.from = format!("<sip:+4930111@carrier.example.net>;tag={tag}");
        socket.send(&ask.bytes()).unwrap();
        let mut answer = [0; 4096];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(Seen::read(&answer[..length], site.carrier(20)).code(), 403);
    }
    daemon.signal("INT");
    assert!(daemon.wait().success());
    let lines = audited.lines();
    let told: Vec<&str> =
        lines.iter().filter(|line| line["kind"] == "verdict").map(|line| line["call"].as_str().unwrap()).collect();
    let by_page = names.iter().map(|call_id| {
        let output = Command::new("sh")
            .args(["-euc", &script(), "sh", "ringfence.key", call_id, tag])
            .current_dir(site.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    });
    assert_eq!(told, by_page.collect::<Vec<_>>());
}
