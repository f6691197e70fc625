//! The built daemon on a site.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitStatus};

use super::metrics::Metrics;
use super::process::Process;
use super::{PATIENCE, Plan, Site, await_some};

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
        await_some("readiness", || {
            daemon.process.must_run();
            (daemon.try_get("/readyz")?.0 == 200).then_some(())
        });
        daemon
    }

    /// Starts the daemon with this filter of its log and waits until it says that it is ready.
    pub(crate) fn start_logging(site: &Site, plan: &Plan, filter: &str) -> Self {
        let daemon = Self::launch_logging(site, &plan.text(site), filter);
        await_some("readiness", || (daemon.try_get("/readyz")?.0 == 200).then_some(()));
        daemon
    }

    /// Starts the daemon and waits for its admin port alone.
    pub(crate) fn launch(site: &Site, text: &str) -> Self {
        Self::launch_logging(site, text, &std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
    }

    fn launch_logging(site: &Site, text: &str, filter: &str) -> Self {
        site.write("ringfence.key", "a key that only this test knows, long enough\n");
        let path = site.write("ringfence.toml", text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command.arg("run").arg("-c").arg(path).env("RUST_LOG", filter).env("RUST_BACKTRACE", "1");
        let process = Process::start("ringfence", site.directory(), &mut command);
        let mut daemon = Self { process, admin: Plan::admin(site) };
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

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
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

    /// Resident memory in octets.
    pub(crate) fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.process.output()
    }
}
