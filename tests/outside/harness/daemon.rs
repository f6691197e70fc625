//! The built daemon on a site.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus};

use super::metrics::Metrics;
use super::process::Process;
use super::{PATIENCE, Plan, Site, Watch, await_some};

/// A running daemon. Ends with the test.
pub(crate) struct Daemon {
    process: Process,
    admin: SocketAddr,
}

impl Daemon {
    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(site: &Site, plan: &Plan) -> Self {
        Self::start_with(site, &plan.text(site))
    }

    /// Starts the daemon with this configuration and waits until it says that it is ready.
    pub(crate) fn start_with(site: &Site, text: &str) -> Self {
        let mut daemon = Self::launch(site, text);
        daemon.await_ready();
        daemon
    }

    /// Starts the daemon with this filter of its log and waits until it says that it is ready.
    pub(crate) fn start_logging(site: &Site, plan: &Plan, filter: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        prepare(site, &plan.text(site), &mut command).arg("run").arg("-c").arg("ringfence.toml").env("RUST_LOG", filter);
        let mut daemon = Self::begun(site, Process::start("ringfence", site.directory(), &mut command));
        daemon.await_ready();
        daemon
    }

    fn await_ready(&mut self) {
        await_some("readiness", || {
            self.process.must_run();
            (self.try_get("/readyz")?.0 == 200).then_some(())
        });
    }

    /// Has the daemon take in another configuration, and waits until it has.
    pub(crate) fn reload(&self, site: &Site, text: &str) {
        let before = self.reloads("ok");
        site.write("ringfence.toml", text);
        self.signal("HUP");
        await_some("the reload", || {
            assert_eq!(self.reloads("failed"), 0, "{}", self.log());
            (self.reloads("ok") > before).then_some(())
        });
    }

    /// How many reloads came out so.
    pub(crate) fn reloads(&self, result: &str) -> u64 {
        self.scrape().sum("ringfence_config_reloads_total", &[("result", result)])
    }

    /// Starts the daemon and waits for its admin port alone.
    pub(crate) fn launch(site: &Site, text: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        prepare(site, text, &mut command).arg("run").arg("-c").arg("ringfence.toml");
        Self::begun(site, Process::start("ringfence", site.directory(), &mut command))
    }

    /// Starts the daemon as systemd does with sockets that it has bound, and waits until it says that it is ready. The name is the
    /// process's, for its log.
    pub(crate) fn start_on(site: &Site, text: &str, name: &str, (udp, tcp): (&UdpSocket, &TcpListener)) -> Self {
        let mut command = Command::new("sh");
        let script = "exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" run -c ringfence.toml";
        prepare(site, text, &mut command).arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_ringfence"));
        command.stdin(OwnedFd::from(udp.try_clone().unwrap()));
        let tcp = OwnedFd::from(tcp.try_clone().unwrap());
        let mut daemon = Self::begun(site, Process::start_on(name, site.directory(), &mut command, |_| tcp.into()));
        daemon.await_ready();
        daemon
    }

    /// Starts another daemon of this name on the same site, whose admin port is at this address.
    #[cfg(feature = "interop")]
    pub(crate) fn start_beside(site: &Site, name: &str, text: &str, admin: std::net::IpAddr) -> Self {
        let path = site.write(&format!("{name}.toml"), text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command.arg("run").arg("-c").arg(path);
        let process = Process::start(name, site.directory(), &mut command);
        let mut daemon = Self::begun_at((admin, 9090).into(), process);
        daemon.await_ready();
        daemon
    }

    fn begun(site: &Site, process: Process) -> Self {
        Self::begun_at(Plan::admin(site), process)
    }

    fn begun_at(admin: SocketAddr, process: Process) -> Self {
        let mut daemon = Self { process, admin };
        await_some("the admin port", || {
            daemon.process.must_run();
            daemon.try_get("/healthz")
        });
        daemon
    }

    /// Asks the admin port.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// Tells the admin port.
    pub(crate) fn post(&self, path: &str) -> u16 {
        self.try_ask("POST", path).unwrap_or_else(|| panic!("no answer to POST {path}")).0
    }

    /// Begins to watch decisions. `Err`: the answer that refuses it.
    pub(crate) fn watch(&self, query: &str) -> Result<Watch, (u16, String)> {
        Watch::begin(self.admin, query)
    }

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        self.try_ask("GET", path)
    }

    fn try_ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "the judge reads no chunks: {head}");
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Scrapes, once every message that was received has been accounted for: an answer leaves before it is counted.
    pub(crate) fn metrics(&self) -> Metrics {
        await_some("all outcomes", || Some(self.scrape()).filter(Metrics::settled))
    }

    fn scrape(&self) -> Metrics {
        let (code, text) = self.get("/metrics");
        assert_eq!(code, 200);
        Metrics::read(text)
    }

    /// Scrapes until a condition holds, and returns that scrape.
    pub(crate) fn metrics_when(&self, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        await_some(what, || Some(self.scrape()).filter(&holds))
    }

    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Panics if it has ended.
    pub(crate) fn must_run(&mut self) {
        self.process.must_run();
    }

    /// Nanoseconds of processor time that its threads of this name have taken.
    pub(crate) fn spent(&self, name: &str) -> u64 {
        self.process.spent(name)
    }

    /// Resident memory in octets.
    pub(crate) fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.process.output()
    }
}

fn prepare<'c>(site: &Site, text: &str, command: &'c mut Command) -> &'c mut Command {
    site.write("ringfence.key", "a key that only this test knows, long enough\n");
    site.write("ringfence.toml", text);
    command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into())).env("RUST_BACKTRACE", "1")
}
