//! Baresip as a telephone that answers by itself, sends a tone and records what it hears.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::wires::Room;
use crate::harness::process::Process;
use crate::harness::{PATIENCE, Site, await_some};

/// A running telephone.
pub(super) struct Phone {
    process: Process,
    control: TcpStream,
    received: Vec<u8>,
    home: PathBuf,
}

impl Phone {
    /// Starts it in a room, with a name by which it can be called, and asks this name server. With ICE it offers every address that
    /// the room has. `outbound`: the Route of its calls, or nothing.
    pub(super) fn start(
        site: &Site,
        room: &Room,
        name: &str,
        addr: Ipv4Addr,
        dns: SocketAddr,
        ice: bool,
        outbound: &str,
    ) -> Self {
        let home = site.directory().join(name);
        std::fs::create_dir_all(&home).unwrap();
        let shown = home.display();
        let config = format!(
            "sip_listen {addr}:5060\naudio_source ausine,440\nausrc_srate 48000\nausrc_channels 2\naudio_player aubridge,ear\naudio_alert aubridge,bell\n\
             rtp_ports 40000-40999\ndns_server {dns}\nnet_interface {addr}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\n\
             module sndfile.so\nmodule ausine.so\nmodule aubridge.so\nmodule ice.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             module_app ctrl_tcp.so\nctrl_tcp_listen {addr}:4444\nsnd_path {shown}\n"
        );
        let nat = if ice { ";medianat=ice" } else { "" };
        let route = if outbound.is_empty() { String::new() } else { format!(";outbound=\"{outbound}\"") };
        let account = format!("<sip:{name}@{addr}>;regint=0;answermode=auto;audio_codecs=PCMA{nat}{route}\n");
        for (file, text) in [("config", config.as_str()), ("accounts", &account), ("contacts", "")] {
            std::fs::write(home.join(file), text).unwrap();
        }
        let mut command = room.command("baresip");
        command.arg("-f").arg(&home).env("HOME", &home);
        let mut process = Process::start(&format!("baresip-{name}"), site.directory(), &mut command);
        let control = await_some("baresip", || {
            process.must_run();
            TcpStream::connect_timeout(&(addr, 4444).into(), PATIENCE).ok()
        });
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { process, control, received: Vec::new(), home }
    }

    /// Calls somebody.
    pub(super) fn dials(&mut self, uri: &str) {
        self.asked("dial", uri);
    }

    /// Hangs up.
    pub(super) fn hangs_up(&mut self) {
        self.asked("hangup", "");
    }

    /// The next event of this type; other ones are passed over. It says what the parameter of the event is.
    pub(super) fn tells(&mut self, kind: &str) -> String {
        loop {
            let said = self.read(kind);
            if said["type"] == kind {
                return said["param"].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    /// Waits until it hears a tone.
    pub(super) fn hears(&self) {
        await_some("a tone", || {
            let loud = |record: PathBuf| {
                let octets = std::fs::read(record).unwrap();
                let samples =
                    octets.get(44..).unwrap_or_default().chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]]));
                samples.filter(|sample| sample.unsigned_abs() > 1000).count()
            };
            // A fifth of a second.
            (self.records().map(loud).max()? > 1600).then_some(())
        });
    }

    /// Throws away what it has heard until now.
    pub(super) fn forgets(&self) {
        self.records().for_each(|record| std::fs::remove_file(record).unwrap());
    }

    fn records(&self) -> impl Iterator<Item = PathBuf> {
        let files = std::fs::read_dir(&self.home).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
    }

    fn asked(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters }).to_string();
        write!(self.control, "{}:{text},", text.len()).unwrap();
    }

    /// The next netstring that it says.
    fn read(&mut self, what: &str) -> Value {
        loop {
            let head = String::from_utf8_lossy(&self.received).into_owned();
            if let Some((length, _)) = head.split_once(':') {
                let (start, length) = (length.len() + 1, length.parse::<usize>().unwrap());
                if self.received.len() > start + length {
                    let rest = self.received.split_off(start + length + 1);
                    let text = std::mem::replace(&mut self.received, rest);
                    return serde_json::from_slice(&text[start..start + length]).unwrap();
                }
            }
            let mut octets = [0; 4096];
            let count = self.control.read(&mut octets).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(count > 0, "baresip has hung up: {}", self.process.output());
            self.received.extend_from_slice(&octets[..count]);
        }
    }
}
