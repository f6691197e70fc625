//! `status`, `watch`, `reload`, `drain` and `explain --call-id` as an operator types them, with a daemon, without one, and with somebody
//! else in its place.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

use crate::harness::{Ask, Daemon, Leg, Plan, Site, await_some};

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(arguments).current_dir(site.directory()).stdin(Stdio::null());
    command
}

fn run(site: &Site, arguments: &[&str]) -> Output {
    command(site, arguments).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn refuse(site: &Site, caller: &mut Leg) -> Ask {
    let ask = Ask::invite("sip:+4930222@acme.us.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ask);
    caller.expect(603);
    ask
}

/// Starts watching, and waits until the daemon knows.
fn watch(site: &Site, daemon: &Daemon, arguments: &[&str]) -> Child {
    let mut all = vec!["watch", "-c", "ringfence.toml"];
    all.extend(arguments);
    let before = daemon.metrics().sum("ringfence_watchers", &[]);
    let child = command(site, &all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    daemon.metrics_when("a watcher", |metrics| metrics.sum("ringfence_watchers", &[]) > before);
    child
}

#[test]
fn status_says_how_the_daemon_stands() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    refuse(&site, &mut caller);
    await_some("the refusal in /status", || daemon.get("/status").1.contains("acme.us.sip").then_some(()));
    let output = run(&site, &["status", "-c", "ringfence.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = out(&output);
    assert!(text.starts_with("ready\n") && text.lines().all(|line| line.chars().count() <= 60 || !line.contains(' ')), "{text}");
    for part in [
        &format!("  listens  udp:{}\n", site.door()),
        "region eu: ",
        "servers up",
        "refused  eu 110 foreign-endpoint",
        "why: Request-URI",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains("4930222"), "{text}");
    let output = run(&site, &["status", "--admin", &Plan::admin(&site).to_string(), "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&status["ready"], status["last_reload"].is_null()), (&Value::Bool(true), true));
}

#[test]
fn a_reload_says_what_became_of_it() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let text = plan.text(&site);
    site.write("ringfence.toml", &text.replace("[project.acme]\n", "[project.acme]\nmode = \"shadow\"\n"));
    let output = run(&site, &["reload", "-c", "ringfence.toml"]);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""), "{output:?}");
    let said = out(&output);
    assert!(said.starts_with("reloaded: ") && said.contains("changed project acme\n        mode: enforce → shadow\n"), "{said}");
    assert!(said.ends_with("0 added, 0 removed, 1 changed\n"), "{said}");
    await_some("its lines in the log", || daemon.log().contains("mode: enforce → shadow").then_some(()));

    site.write("ringfence.toml", &text.replace("[project.acme]\n", "[project.acme]\ncolour = \"blue\"\n"));
    let admin = Plan::admin(&site).to_string();
    let output = run(&site, &["reload", "--admin", &admin]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let wrong = err(&output);
    assert!(wrong.contains("unknown key `colour`") && wrong.contains("ringfence.toml:"), "{wrong}");
    assert!(wrong.ends_with("not reloaded, nothing has changed\n"), "{wrong}");
    let status: Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
    assert_eq!(status["last_reload"]["ok"], false);
    assert!(status["last_reload"]["mistakes"][0].as_str().unwrap().contains("unknown key `colour`"));
    assert!(daemon.get("/").1.contains("failed, nothing changed"));
    let output = run(&site, &["status", "--admin", &admin]);
    assert!(out(&output).contains("failed, nothing changed"), "{output:?}");

    // Two at once: one after the other.
    site.write("ringfence.toml", &text);
    let both = [(); 2].map(|()| command(&site, &["reload", "--admin", &admin, "--json"]).stdout(Stdio::piped()).spawn().unwrap());
    for child in both {
        let output = child.wait_with_output().unwrap();
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &outcome["ok"]), (Some(0), &Value::Bool(true)));
    }
    assert_eq!((daemon.reloads("ok"), daemon.reloads("failed")), (3, 1));
}

#[test]
fn watch_shows_decisions_as_they_come() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut text = watch(&site, &daemon, &["--project", "acme", "--verdict", "refuse"]);
    let mut json = watch(&site, &daemon, &["--reason", "110", "--json"]);
    let other = watch(&site, &daemon, &["--project", "nobody"]);
    let asked = refuse(&site, &mut caller);
    let mut lines = BufReader::new(text.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.ends_with(" refused  110 foreign-endpoint, told 603"), "{first}");
    assert_eq!(lines.next().unwrap().trim(), "eu/acme/carrier");
    let mut line = String::new();
    BufReader::new(json.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let decided: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&decided["call_id"], &decided["id"]), (&asked.call_id.as_str().into(), &110.into()));
    // Their reader has gone: they end at the next decision.
    drop(lines);
    for _ in 0..3 {
        refuse(&site, &mut caller);
    }
    assert_eq!(text.wait().unwrap().code(), Some(0));
    assert_eq!(json.wait().unwrap().code(), Some(0));
    // The daemon ends: who watches is told.
    drop(daemon);
    let output = other.wait_with_output().unwrap();
    assert_eq!((output.status.code(), out(&output)), (Some(1), ""));
    assert!(err(&output).contains("the daemon has ended"), "{output:?}");
}

#[test]
fn a_slow_reader_of_watch_is_in_nobodys_way() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut stopped = watch(&site, &daemon, &["--json"]);
    assert!(Command::new("kill").args(["-STOP", &stopped.id().to_string()]).status().unwrap().success());
    for _ in 0..400 {
        refuse(&site, &mut caller);
    }
    assert_eq!(daemon.metrics().sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 400);
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}

#[test]
fn what_is_asked_of_watch_must_exist() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    let output = run(&site, &["watch", "-c", "ringfence.toml", "--reason", "foreign"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(err(&output).contains("unknown reason `foreign`: a name or number"), "{output:?}");
}

#[test]
fn explain_finds_the_message_of_a_call_by_its_call_id() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let asked = refuse(&site, &mut caller);
    await_some("what is kept", || daemon.get("/refused").1.contains(&asked.call_id).then_some(()));
    let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", &asked.call_id]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = out(&output);
    assert!(
        text.starts_with("The running daemon decided:\n") && text.contains("The configuration file decides the same:\n"),
        "{text}"
    );
    assert!(text.contains("110 foreign-endpoint") && !text.contains("4930222"), "{text}");
    // The file was changed, and the daemon has not taken it in.
    site.write("ringfence.toml", &plan.text(&site).replace("[project.acme]\n", "[project.acme]\nmode = \"shadow\"\n"));
    let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", &asked.call_id, "--json"]);
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&explained["decided"]["id"], &explained["decided"]["verdict"]), (&110.into(), &"refuse".into()));
    assert_eq!(explained["same_decision"], false, "the reason is the same, and the verdict is not");
    let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", &asked.call_id]);
    assert!(out(&output).contains("The configuration file, as it is now, would decide otherwise:\n"), "{output:?}");
    // The file is broken: what the daemon decided is told all the same.
    site.write("ringfence.toml", &plan.text(&site).replace("[project.acme]\n", "[project.acme]\ncolour = 1\n"));
    let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", &asked.call_id]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(
        out(&output).starts_with("The running daemon decided:\n") && err(&output).contains("unknown key `colour`"),
        "{output:?}"
    );
    site.write("ringfence.toml", &plan.text(&site));
    let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", "nobody"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        err(&output).contains("nothing of call nobody: it has 1 refused messages of at most 200 (`refused` of [log])"),
        "{output:?}"
    );
}

/// As `watch` and the log show it, a Call-ID can be asked for.
#[test]
fn a_call_id_may_be_written_as_it_is_shown() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut ask = Ask::invite("sip:+4930222@acme.us.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    ask.call_id = "a\"b\\c@h".to_owned();
    caller.ask(&ask);
    caller.expect(603);
    let shown = await_some("what is kept", || {
        let kept: Value = serde_json::from_str(&daemon.get("/refused").1).unwrap();
        kept["refused"][0]["call_id"].as_str().map(str::to_owned)
    });
    assert_ne!(shown, ask.call_id);
    for id in [&ask.call_id, &shown] {
        let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", id]);
        assert!(out(&output).starts_with("The running daemon decided:\n"), "{id}: {output:?}");
    }
}

/// Whoever is there may be hostile: nothing that it says moves the cursor.
#[test]
fn a_terminal_obeys_nobody() {
    let site = Site::claim();
    drop(Daemon::start(&site, &Plan::new(&site)));
    let evil = "\\u001b[2J\\u009b1m\u{9b}1m\u{202e}";
    let target = format!("{{\"state\":\"down\",\"why\":\"{evil}\",\"transport\":\"{evil}\",\"address\":\"{evil}\"}}");
    let body = format!(
        "{{\"version\":\"{evil}\",\"configuration\":{{\"digest\":\"{evil}\"}},\"ready\":true,\"ok\":true,\"digest\":\"{evil}\",\
         \"changes\":[\"{evil}\"],\"warnings\":[\"{evil}\"],\"troubles\":[\"{evil}\"],\"kept\":1,\"limit\":2,\
         \"regions\":[{{\"served\":true,\"name\":\"{evil}\",\"listeners\":[\"{evil}\"],\"targets\":[{target}]}}],\
         \"refused\":[{{\"verdict\":\"{evil}\",\"why\":\"{evil}\",\"source\":\"192.0.2.1:5060\",\"listener\":\"{evil}\",\
         \"message_base64\":\"SU5WSVRF\"}}]}}"
    );
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    let all: [&[&str]; 5] = [
        &["status"],
        &["status", "--json"],
        &["reload"],
        &["reload", "--json"],
        &["explain", "-c", "ringfence.toml", "--call-id", "x"],
    ];
    let server = thread::spawn(move || {
        for _ in all {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).unwrap() > 0);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    for arguments in all {
        let output = run(&site, &[arguments, &["--admin", &admin]].concat());
        let said = format!("{}{}", out(&output), err(&output));
        assert!(!said.is_empty() && !said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{arguments:?}: {said:?}");
    }
    server.join().unwrap();
}

/// What the daemon keeps has its numbers masked: whose they were cannot be told from it.
#[test]
fn what_hangs_on_a_masked_number_cannot_be_explained() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.projects = plan.projects.replace("media = [", "callers = [\"IN\", \"anonymous\"]\nmedia = [");
    for (log, code, says) in [
        ("", 2, "cannot tell: it depends on whose the numbers are: the daemon masks them (`numbers` of [log])"),
        (
            "[log]\nnumbers = \"plain\"\n",
            1,
            "refused: 131 foreign-number, calling +493... is DE; trunk carrier of acme lets in IN anonymous",
        ),
    ] {
        let daemon = Daemon::start_with(&site, &(plan.text(&site) + log));
        let mut caller = Leg::udp(site.carrier(20), site.door());
        let asked = Ask::invite("sip:+4930222@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip())
            .with("P-Asserted-Identity: <sip:+4930123456@carrier.example.net>");
        caller.ask(&asked);
        caller.expect(603);
        await_some("what is kept", || daemon.get("/refused").1.contains(&asked.call_id).then_some(()));
        let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", &asked.call_id]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(out(&output).contains(says) && out(&output).contains("131 foreign-number, told 603"), "{}", out(&output));
    }
}

/// The INVITE was accepted. That no server took it shows only later, when it is not at hand any more.
#[test]
fn of_a_call_that_no_server_took_the_decision_is_kept() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"{}\"", site.eu(10));
    let daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let asked = Ask::invite("sip:+4930222@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&asked);
    let invite = server.request("INVITE");
    server.send(&invite.answer("503 Service Unavailable", "b", &[], ""));
    caller.expect(503);
    await_some("what is kept", || daemon.get("/refused").1.contains(&asked.call_id).then_some(()));
    let output = run(&site, &["explain", "-c", "ringfence.toml", "--call-id", &asked.call_id]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(out(&output).starts_with("The running daemon decided:\n") && out(&output).contains("152 targets-down"), "{output:?}");
    assert!(err(&output).contains("it was decided on an answer"), "{output:?}");
}

/// The file says where the daemon is, though a start with it would fail.
#[test]
fn a_broken_file_still_says_whom_to_ask() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let text = plan.text(&site);
    site.write("ringfence.toml", &text.replace("[project.acme]\n", "[project.acme]\ncolour = \"blue\"\n"));
    let admin = Plan::admin(&site).to_string();
    let note = format!("ringfence.toml has a mistake (`ringfence check` names them); asking at {admin}, as its [admin] says");
    let output = run(&site, &["status", "-c", "ringfence.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(err(&output).contains(&note) && out(&output).starts_with("ready\n"), "{output:?}");
    // The daemon is asked, and says and notes what is wrong.
    let output = run(&site, &["reload", "-c", "ringfence.toml"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(
        err(&output).contains("\nerror: ringfence.toml:") && err(&output).ends_with("not reloaded, nothing has changed\n"),
        "{output:?}"
    );
    assert_eq!(daemon.reloads("failed"), 1);
    // Not even that can be read.
    site.write("ringfence.toml", "serve = [\"eu\n");
    let output = run(&site, &["status", "-c", "ringfence.toml"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(err(&output).contains("--admin ADDRESS:PORT names it"), "{output:?}");
    let output = run(&site, &["status", "--admin", &format!("http://{admin}/")]);
    assert_eq!(output.status.code(), Some(0), "as a browser shows it: {output:?}");
    // The new file's warnings are told with what changed.
    site.write("ringfence.toml", &(text + "[project.empty]\npin = [\"eu\"]\n"));
    let output = run(&site, &["reload", "-c", "ringfence.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        err(&output).contains("warning: ringfence.toml:") && err(&output).contains("project `empty` has no trunk"),
        "{output:?}"
    );
}

#[test]
fn watch_says_that_it_watches_and_names_a_project_that_is_not_there() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let child = watch(&site, &daemon, &["--project", "acmee", "--project", "acme"]);
    drop(daemon);
    let output = child.wait_with_output().unwrap();
    let said = err(&output);
    assert!(said.starts_with("the daemon has no project `acmee`") && said.contains("\nwatching the daemon at http://"), "{said}");
    assert!(!said.contains("`acme`"), "{said}");
}

#[test]
fn drain_waits_for_the_end() {
    let site = Site::claim();
    let mut daemon = Daemon::start(&site, &Plan::new(&site));
    let output = run(&site, &["drain", "-c", "ringfence.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(out(&output).starts_with("drained, ended after "), "{output:?}");
    assert!(daemon.wait().success());
    assert!(daemon.log().contains("drained, ended"), "{}", daemon.log());
    let output = run(&site, &["drain", "-c", "ringfence.toml", "--no-wait"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
}

#[test]
fn without_a_daemon_each_command_says_what_to_do() {
    let site = Site::claim();
    // It was there, and left its files.
    drop(Daemon::start(&site, &Plan::new(&site)));
    let admin = Plan::admin(&site).to_string();
    for arguments in [&["status"][..], &["watch"], &["reload"], &["drain"], &["explain", "--call-id", "x"]] {
        let output = run(&site, &[arguments, &["-c", "ringfence.toml"]].concat());
        assert_eq!((output.status.code(), out(&output)), (Some(69), ""), "{output:?}");
        let said = err(&output);
        assert!(said.contains(&format!("no daemon answers at http://{admin}: ")) && said.contains("ringfence run"), "{said}");
    }
}

#[test]
fn somebody_else_in_its_place_is_no_ringfence() {
    let site = Site::claim();
    drop(Daemon::start(&site, &Plan::new(&site)));
    for answer in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<html",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"a\": 1}\n",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            for _ in 0..5 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 4096];
                assert!(stream.read(&mut head).unwrap() > 0);
                // Whoever has heard enough hangs up.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        for arguments in
            [&["status"][..], &["watch"], &["reload"], &["drain"], &["explain", "-c", "ringfence.toml", "--call-id", "x"]]
        {
            let output = run(&site, &[arguments, &["--admin", &admin]].concat());
            assert_eq!((output.status.code(), out(&output)), (Some(69), ""), "{answer}: {arguments:?} {output:?}");
            assert!(err(&output).contains("no Ringfence of this version is there"), "{answer}: {arguments:?} {output:?}");
        }
        server.join().unwrap();
    }
}

#[test]
fn no_line_of_the_log_is_written_in_rust() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.health = "interval = \"100ms\"\nfall = 1".into();
    let daemon = Daemon::start_logging(&site, &plan, "debug");
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    refuse(&site, &mut caller);
    let ask = Ask::invite("sip:+4930222@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ask);
    // Probes come too.
    let seen = std::iter::from_fn(|| Some(server.recv())).find(|seen| seen.method() == "INVITE").unwrap();
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let answer = caller.expect(486);
    caller.ask(&ask.ack(&answer));
    caller.send(b"INVITE broken\r\n\r\n");
    drop(server);
    let door = site.door();
    let log = await_some("the server's end in the log", || Some(daemon.log()).filter(|log| log.contains("target is down")));
    let started = log.lines().find(|line| line.contains("started")).unwrap();
    assert!(started.contains(&format!("udp:{door} tcp:{door}")), "{started}");
    // Of other crates at debug level nothing is promised.
    for line in log.lines().filter(|line| line.contains("ringfence")) {
        assert!(!line.contains("Some(") && !line.contains("None"), "{line}");
    }
}
