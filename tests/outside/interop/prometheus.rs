//! A Prometheus of the test's own that scrapes its daemon by the rules of `deploy/prometheus`, every fifth of a second.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::process::Process;
use crate::harness::{PATIENCE, Plan, Site, await_some};

/// A running Prometheus.
pub(crate) struct Prometheus {
    process: Process,
    addr: SocketAddr,
}

impl Prometheus {
    /// Starts it and waits until it answers.
    pub(crate) fn scrape(site: &Site) -> Self {
        let addr = SocketAddr::new(site.eu(20).ip(), 9091);
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
        let rules = rules.display();
        let config = site.write(
            "prometheus.yml",
            &format!(
                "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
                 rule_files: [\"{rules}/recording.yml\", \"{rules}/alerts.yml\"]\n\
                 scrape_configs:\n- job_name: ringfence\n  static_configs: [{{ targets: [\"{}\"] }}]\n",
                Plan::admin(site)
            ),
        );
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", site.directory().join("tsdb").display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=warn");
        let mut prometheus = Self { process: Process::start("prometheus", site.directory(), &mut command), addr };
        await_some("Prometheus", || {
            prometheus.process.must_run();
            prometheus.get("/-/ready").filter(|text| !text.is_empty())
        });
        prometheus
    }

    /// `data` of an answer of its HTTP API; `None` if it is not there or says that something is wrong.
    pub(crate) fn data(&self, path: &str) -> Option<Value> {
        let answer: Value = serde_json::from_str(&self.get(path)?).ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// The series that an expression gives now; panics if it is none.
    pub(crate) fn query(&self, expr: &str) -> Vec<Value> {
        let mut path = String::from("/api/v1/query?query=");
        for octet in expr.bytes() {
            write!(path, "%{octet:02X}").unwrap();
        }
        let data = self.data(&path).unwrap_or_else(|| panic!("not answered: {expr}: {:?}", self.get(&path)));
        data["result"].as_array().unwrap().clone()
    }

    /// The alerts that fire, in alphabetical order.
    pub(crate) fn firing(&self) -> Vec<String> {
        let data = self.data("/api/v1/alerts").unwrap_or_default();
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
        let mut firing: Vec<String> = alerts.iter().filter(|alert| alert["state"] == "firing").map(name).collect();
        firing.sort();
        firing.dedup();
        firing
    }

    /// The body of an answer. HTTP/1.0, which knows no chunks.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.addr, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.to_owned())
    }
}
