//! The daemon as a process: what systemd is told, what signals do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Receives, again if the kernel was interrupted: a machine that is paused and goes on ends a wait that has a limit.
fn patiently<T>(mut receive: impl FnMut() -> std::io::Result<T>) -> T {
    loop {
        match receive() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => return received.unwrap(),
        }
    }
}

struct Process {
    child: Child,
    /// Where systemd would listen.
    systemd: UnixDatagram,
    directory: PathBuf,
    network: u8,
}

impl Process {
    /// A daemon on the well-known port of a network of its own.
    fn start(network: u8, environment: &[(&str, &str)]) -> Self {
        Self::start_with(network, environment, Stdio::null())
    }

    fn start_with(network: u8, environment: &[(&str, &str)], errors: Stdio) -> Self {
        let directory = std::env::temp_dir().join(format!("ringfence-process-{}-{network}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let socket = directory.join("notify");
        let systemd = UnixDatagram::bind(&socket).unwrap();
        systemd.set_read_timeout(Some(PATIENCE)).unwrap();
        std::fs::write(directory.join("ringfence.toml"), config(network)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args(["run", "-c"])
            .arg(directory.join("ringfence.toml"))
            .env("NOTIFY_SOCKET", &socket)
            .envs(environment.iter().copied())
            .stderr(errors)
            .spawn()
            .unwrap();
        Self { child, systemd, directory, network }
    }

    /// The next thing that systemd is told.
    fn told(&self) -> String {
        let mut buffer = [0; 512];
        let length = patiently(|| self.systemd.recv(&mut buffer));
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    fn write(&self, text: &str) {
        std::fs::write(self.directory.join("ringfence.toml"), text).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Places a call that nobody upstream answers, so that a transaction is open.
    fn ring(&self) -> UdpSocket {
        let network = self.network;
        let caller = UdpSocket::bind(format!("127.53.{network}.2:0")).unwrap();
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        let upstream = UdpSocket::bind(format!("127.53.{network}.200:5060")).unwrap();
        upstream.set_read_timeout(Some(PATIENCE)).unwrap();
        let from = caller.local_addr().unwrap();
        let invite = format!(
            "INVITE sip:1@acme.eu.sip.example.com SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKring;rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{from}>;tag=1\r\nTo: <sip:1@acme.eu.sip.example.com>\r\nCall-ID: ring\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:a@{from}>\r\nContent-Length: 0\r\n\r\n"
        );
        caller.send_to(invite.as_bytes(), format!("127.53.{network}.1:5060")).unwrap();
        patiently(|| upstream.recv_from(&mut [0; 2048]));
        upstream
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn config(network: u8) -> String {
    format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:127.53.{network}.1:5060\"]\n\
         networks = [\"127.53.{network}.128/25\"]\nupstream = \"sip:127.53.{network}.200\"\n\
         [project.acme]\npin = [\"eu\"]\nmedia = \"off\"\n[project.acme.trunk.one]\nnetworks = [\"127.53.{network}.0/25\"]\n\
         [admin]\nlisten = \"127.53.{network}.1:9090\"\n[health]\ninterval = \"0s\"\n\
         [limits]\nper_source = \"1000000/s\"\n"
    )
}

#[test]
fn systemd_hears_of_start_reload_and_end() {
    let mut process = Process::start(1, &[]);
    assert!(process.told().starts_with("READY=1\n"));
    process.signal("-HUP");
    assert!(process.told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(process.told().starts_with("READY=1\n"));
    // A mistake changes nothing, and systemd must not wait for ever.
    process.write("serve = [\"nowhere\"]\n");
    process.signal("-HUP");
    assert!(process.told().starts_with("RELOADING=1\n"));
    assert!(process.told().starts_with("READY=1\n"));
    process.signal("-TERM");
    assert!(process.told().starts_with("STOPPING=1\n"));
    assert!(process.ended().success());
}

#[test]
fn the_watchdog_is_fed_while_the_loop_turns() {
    let mut process = Process::start(2, &[("WATCHDOG_USEC", "150000")]);
    let mut fed = 0;
    while fed < 5 {
        fed += u32::from(process.told().contains("WATCHDOG=1"));
    }
    process.signal("-INT");
    while !process.told().starts_with("STOPPING=1\n") {}
    assert!(process.ended().success());
}

#[test]
fn a_second_signal_does_not_wait_for_calls() {
    let mut process = Process::start(3, &[]);
    assert!(process.told().starts_with("READY=1\n"));
    let _silent = process.ring();
    process.signal("-TERM");
    assert!(process.told().starts_with("STOPPING=1\n"));
    assert!(process.child.try_wait().unwrap().is_none(), "an open call is waited for");
    process.signal("-TERM");
    assert!(process.ended().success());
}

#[test]
fn a_log_that_nobody_reads_stops_no_call() {
    let mut process = Process::start_with(4, &[("RUST_LOG", "debug")], Stdio::piped());
    assert!(process.told().starts_with("READY=1\n"));
    let caller = UdpSocket::bind("127.53.4.2:0").unwrap();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    let from = caller.local_addr().unwrap();
    // More than the pipe holds, of a reason whose lines are limited only far above a few calls.
    for call in 0..1000 {
        let long = "x".repeat(200);
        let invite = format!(
            "INVITE sip:1@nobody.eu.sip.example.com SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{from}>;tag=1\r\nTo: <sip:1@acme.eu.sip.example.com>\r\nCall-ID: {call}{long}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:a@{from}>\r\nContent-Length: 0\r\n\r\n"
        );
        caller.send_to(invite.as_bytes(), "127.53.4.1:5060").unwrap();
        let mut answer = [0; 2048];
        let length = patiently(|| caller.recv(&mut answer));
        assert!(answer[..length].starts_with(b"SIP/2.0 404"), "{}", String::from_utf8_lossy(&answer[..length]));
    }
    process.signal("-TERM");
    assert!(process.told().starts_with("STOPPING=1\n"));
    assert!(process.ended().success());
    let mut log = Vec::new();
    process.child.stderr.take().unwrap().read_to_end(&mut log).unwrap();
    // A page of the pipe holds whole lines alone.
    assert!(log.len() > 48 << 10, "the pipe was full: {} octets", log.len());
}
