//! `ringfence resolve` and `check --online` from outside, with a name server that says what the test wants.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

#[expect(dead_code, reason = "what the program asks, and that a zone changes, is tested with the resolver")]
#[path = "shell_dns/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use server::NameServer;

/// A whole chain, as docs/commands.md shows it; and a name for each outcome.
const ZONE: &str = "
livekit.eu.internal 300 NAPTR 10 50 s SIPS+D2T \"\" _sips._tcp.livekit.eu.internal
livekit.eu.internal 300 NAPTR 20 50 s SIP+D2U \"\" _sip._udp.livekit.eu.internal
_sip._udp.livekit.eu.internal 60 SRV 10 70 5060 a.livekit.eu.internal
_sip._udp.livekit.eu.internal 60 SRV 10 30 5060 b.livekit.eu.internal
_sip._udp.livekit.eu.internal 60 SRV 20 0 5070 c.livekit.eu.internal
a.livekit.eu.internal 60 A 10.20.0.5
b.livekit.eu.internal 60 A 10.20.0.6
b.livekit.eu.internal 60 AAAA 2001:db8:e::6
c.livekit.eu.internal 30 CNAME spare.example.net
spare.example.net 30 A 198.51.100.9
in.example.net 60 A 10.20.0.7
both.example.net 60 A 10.20.0.8
both.example.net 60 A 192.0.2.8
out.example.net 60 A 192.0.2.9
carrier.example.net 60 A 192.0.2.200
down.example.net * servfail
";

/// A configuration whose region's upstream is this.
fn configured(test: &str, upstream: &str) -> PathBuf {
    let text = format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:203.0.113.10:5060\"]\n\
         networks = [\"203.0.113.0/24\", \"10.20.0.0/16\", \"2001:db8:e::/48\"]\nupstream = {upstream}\n\
         [region.us]\nhostname = \"us.sip.example.com\"\nnetworks = [\"198.51.100.0/24\"]\n\
         [project.acme]\npin = [\"eu\"]\n[project.acme.trunk.one]\nnetworks = [\"192.0.2.200/32\"]\n\
         uri = \"sip:carrier.example.net\"\n[dns]\nservers = [\"{}\"]\n",
        NameServer::start(ZONE).addr
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("resolve-{test}-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn ringfence(command: &[&str], config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence")).args(command).arg("-c").arg(config).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The one object that the program printed.
fn object(output: &Output) -> Value {
    let out = text(&output.stdout);
    assert!(out.ends_with("}\n") && out.lines().count() == 1, "{output:?}");
    serde_json::from_str(out).unwrap()
}

#[test]
fn the_page_shows_what_is_printed() {
    let config = configured("page", "\"sip:livekit.eu.internal\"");
    let output = ringfence(&["resolve", "sip:livekit.eu.internal"], &config);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md")).unwrap();
    let (_, shown) = page.split_once("<!-- resolve -->\n```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert_eq!(text(&output.stdout), shown);
}

#[test]
fn each_outcome_has_its_exit_code() {
    let config = configured("codes", "[\"sip:in.example.net\", \"sip:both.example.net\", \"sip:out.example.net\"]");
    for (name, code, says) in [
        ("sip:in.example.net", 0, "every address is inside"),
        ("in.example.net:5070", 0, "nobody in this configuration"),
        ("sip:carrier.example.net", 0, "192.0.2.200  inside trunk one of acme"),
        ("10.20.0.1", 0, "10.20.0.1:5060  inside region eu"),
        ("sip:both.example.net", 1, "192.0.2.8  outside region eu"),
        ("spare.example.net", 0, "198.51.100.9  inside region us"),
        ("sip:out.example.net", 3, "region eu: nothing to send to"),
        ("192.0.2.1:5070", 3, "192.0.2.1:5070  outside every region"),
        ("nowhere.example.net", 4, "it resolves to nothing"),
        ("down.example.net", 5, "DNS failed: "),
        ("sip:user@in.example.net", 2, ""),
        ("in.example.net:0", 2, ""),
    ] {
        let output = ringfence(&["resolve", name], &config);
        assert_eq!(output.status.code(), Some(code), "{name}: {output:?}");
        assert!(text(&output.stdout).contains(says), "{name}: {}", text(&output.stdout));
        assert!(!output.stdout.contains(&0x1b), "no colour but on a terminal");
    }
    assert_eq!(ringfence(&["resolve", "a"], Path::new("no-such-file.toml")).status.code(), Some(66));
    std::fs::write(&config, "serve = 1\n").unwrap();
    let output = ringfence(&["resolve", "a", "--json"], &config);
    assert_eq!((output.status.code(), &object(&output)["valid"]), (Some(78), &Value::Bool(false)));
}

#[test]
fn resolve_as_json_is_one_object() {
    let config = configured("json", "\"sip:livekit.eu.internal\"");
    let output = ringfence(&["resolve", "--json", "sip:livekit.eu.internal"], &config);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = object(&output);
    assert_eq!((&found["outcome"], &found["ttl"]), (&"some-outside".into(), &30.into()), "{found}");
    assert_eq!(found["uses"], json!(["region eu"]));
    let outside = json!({ "address": "198.51.100.9:5070", "inside": ["region us"], "outside": ["region eu"] });
    assert!(found["addresses"].as_array().unwrap().contains(&outside), "{found}");
    let servers = found["order"][0]["servers"].as_array().unwrap();
    let order: Vec<_> = servers.iter().map(|of| (&of["share_percent"], &of["addresses"][0])).collect();
    let mut expected = [(70.0, "10.20.0.5:5060"), (30.0, "10.20.0.6:5060")].map(|(share, addr)| (json!(share), json!(addr)));
    expected.sort_by_key(|(_, addr)| order.iter().position(|(_, found)| *found == addr));
    assert_eq!(order, expected.iter().map(|(share, addr)| (share, addr)).collect::<Vec<_>>());
    assert_eq!(found["order"][0]["without_listener"], json!(["[2001:db8:e::6]:5060"]));
    assert_eq!(found["steps"][0]["type"], "NAPTR");
    let used = &found["steps"][0]["records"].as_array().unwrap().iter().find(|of| of["unused"].is_null()).unwrap()["steps"][0];
    assert_eq!((&used["type"], &used["name"]), (&"SRV".into(), &"_sip._udp.livekit.eu.internal".into()), "{found}");
}

#[test]
fn check_online_says_what_is_outside_and_of_whom() {
    let config = configured("online", "\"sip:in.example.net\"");
    let output = ringfence(&["check", "--online"], &config);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = text(&output.stdout);
    for line in [
        "name     sip:in.example.net  region eu  inside, all 1",
        "name     sip:carrier.example.net  trunk one of acme  inside, all 1",
    ] {
        assert!(out.lines().any(|found| found == line), "no line `{line}` in\n{out}");
    }
    let names = ["in", "both", "out", "nowhere", "down"].map(|name| format!("\"sip:{name}.example.net\""));
    let config = configured("offline", &format!("[{}]", names.join(", ")));
    let output = ringfence(&["check", "--online"], &config);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let out = text(&output.stdout);
    for line in [
        "name     sip:both.example.net  region eu  partly outside",
        "outside  region eu  192.0.2.8:5060",
        "name     sip:out.example.net  region eu  outside, all of it",
        "outside  region eu  192.0.2.9:5060",
        "name     sip:nowhere.example.net  region eu  resolves to nothing",
    ] {
        assert!(out.lines().any(|found| found == line), "no line `{line}` in\n{out}");
    }
    assert!(out.contains("name     sip:down.example.net  region eu  DNS failed: "), "{out}");
    let output = ringfence(&["check", "--online", "--json"], &config);
    assert_eq!(output.status.code(), Some(1));
    let found = object(&output);
    let outcomes: Vec<_> = found["names"].as_array().unwrap().iter().map(|name| &name["outcome"]).collect();
    assert_eq!(outcomes, ["inside", "some-outside", "outside", "nothing", "failed", "inside"], "{found}");
    assert_eq!(found["names"][1]["uses"], json!([{ "of": "region eu", "outside": ["192.0.2.8:5060"] }]));
    assert_eq!(found["valid"], true);
}
