//! Chromium without a window, led by its own protocol over two pipes: what a page looks like to a person, as numbers.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::run;
use crate::harness::Site;
use crate::harness::process::Process;

/// How long it may take: on a busy machine it starts slowly.
const BROWSER: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(super) struct Chromium {
    process: Process,
    commands: File,
    said: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// What it has told of by itself, and nobody has taken yet.
    events: Vec<Value>,
}

impl Chromium {
    /// Starts it with an empty page.
    pub(super) fn start(site: &Site) -> Self {
        Self::start_with(site, "")
    }

    /// The same with more on its command line.
    pub(super) fn start_with(site: &Site, more: &str) -> Self {
        let name = |end: &str| site.directory().join(end).display().to_string();
        let (into, out, profile) = (name("chromium.in"), name("chromium.out"), name("chromium"));
        run("mkfifo", &[&into, &out], "");
        let start = format!(
            "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars \
             --remote-debugging-pipe --user-data-dir='{profile}' {more} about:blank 3<'{into}' 4>'{out}'"
        );
        let process = Process::start("chromium", site.directory(), Command::new("sh").args(["-c", &start]));
        // Both ways, so that opening does not wait for a browser that never comes.
        let commands = OpenOptions::new().read(true).write(true).open(into).unwrap();
        let (says, said) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(File::open(out).unwrap()).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap();
                if says.send(message).is_err() {
                    return;
                }
            }
        });
        let mut chromium = Self { process, commands, said, session: None, last: 0, events: Vec::new() };
        let target = chromium.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = chromium.ask("Target.attachToTarget", &attach);
        chromium.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            chromium.ask(&format!("{domain}.enable"), &json!({}));
        }
        chromium
    }

    /// Gives a command and returns its result.
    pub(super) fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut said = self.hear(method);
            if said["id"] == id {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].take();
            }
            self.events.push(said);
        }
    }

    /// Waits for an event and returns it.
    pub(super) fn event(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["method"] == method) {
                return self.events.remove(at);
            }
            let said = self.hear(method);
            self.events.push(said);
        }
    }

    fn hear(&mut self, what: &str) -> Value {
        self.said.recv_timeout(BROWSER).unwrap_or_else(|_| {
            self.process.must_run();
            panic!("waited in vain for {what}")
        })
    }

    /// Opens a page on a screen of this width, for somebody who prefers this colour scheme.
    pub(super) fn open(&mut self, url: &str, width: u32, scheme: &str) {
        let screen = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", &screen);
        let prefers = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", &prefers);
        self.events.clear();
        let opened = self.ask("Page.navigate", &json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{opened}");
        self.event("Page.loadEventFired");
    }

    /// The value of an expression on the page.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let mut result = self.ask("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].take()
    }

    /// What the promise that an expression makes comes to.
    pub(super) fn awaited(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.ask("Runtime.evaluate", &asked);
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].take()
    }

    /// What it has asked the network for since the page was opened.
    pub(super) fn requests(&self) -> Vec<String> {
        let requested = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requested.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What it has complained of since the page was opened.
    pub(super) fn complaints(&self) -> Vec<String> {
        let methods = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
        self.events.iter().filter(|event| methods.iter().any(|of| event["method"] == *of)).map(Value::to_string).collect()
    }

    /// The names of what assistive software takes for a thing of this kind.
    pub(super) fn named(&mut self, role: &str) -> Vec<String> {
        let tree = self.ask("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter();
        nodes
            .filter(|node| node["role"]["value"] == role)
            .map(|node| node["name"]["value"].as_str().unwrap().to_owned())
            .collect()
    }
}
