//! PJSIP, led by `pjsip.py`: a telephone whose every step a test takes, and which tells what comes of it.

use std::io::{BufRead, BufReader, PipeWriter, Write, pipe};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::{python, tree};
use crate::harness::process::Process;
use crate::harness::{PATIENCE, Site};

/// A running telephone.
pub(super) struct Pjsip {
    name: &'static str,
    process: Process,
    commands: PipeWriter,
    said: Receiver<String>,
    /// What it has told, and nobody has asked for yet.
    told: Vec<String>,
}

impl Pjsip {
    /// Starts it at `addr` over a transport; all its calls go by `door`, whatever they name. `more` says what else `pjsip.py` is to know.
    pub(super) fn start(
        site: &Site,
        name: &'static str,
        (addr, transport): (SocketAddr, &str),
        door: SocketAddr,
        more: &Value,
    ) -> Self {
        // A hidden route is one that no message shows.
        let route = format!("sip:{door};transport={transport};lr;hide");
        let mut settings = json!({ "user": name, "ip": addr.ip(), "port": addr.port(), "transport": transport, "route": route });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ((input, commands), (output, into)) = (pipe().unwrap(), pipe().unwrap());
        let mut command = python();
        command.arg(tree().join("tests/outside/interop/pjsip.py")).arg(settings.to_string()).stdin(input);
        let process = Process::start_on(name, site.directory(), &mut command, |_| into.into());
        // It holds an end of its output, which would never end.
        drop(command);
        let (says, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if says.send(line).is_err() {
                    return;
                }
            }
        });
        let mut phone = Self { name, process, commands, said, told: Vec::new() };
        phone.tells("ready");
        phone
    }

    /// Gives it a command.
    pub(super) fn does(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    /// Waits until it tells something that begins so. What it told of the same matter before, by its first two words, is over then.
    pub(super) fn tells(&mut self, what: &str) {
        let matter = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        loop {
            if let Some(at) = self.told.iter().position(|line| line.starts_with(what)) {
                let (mut number, over) = (0, matter(what));
                self.told.retain(|line| {
                    number += 1;
                    number > at + 1 || matter(line) != over
                });
                return;
            }
            let line = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                self.process.must_run();
                panic!("{} does not tell: {what}; it has told: {:#?}", self.name, self.told)
            });
            self.told.push(line);
        }
    }
}
