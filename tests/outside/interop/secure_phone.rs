//! baresip, a telephone, over TLS: on the port above its own.

use std::net::SocketAddr;
use std::process::Command;

use super::await_tcp;
use crate::harness::process::Process;
use crate::harness::secure::Paper;
use crate::harness::{Site, await_some};

/// A running telephone.
pub(super) struct SecurePhone {
    process: Process,
}

impl SecurePhone {
    /// Starts it at `addr`, with its paper; it believes `ca.pem` and asks `dns`. `dial` is whom it calls at once, if anybody. Whoever
    /// calls it is answered.
    pub(super) fn start(site: &Site, name: &str, addr: SocketAddr, dns: SocketAddr, paper: &Paper, dial: Option<&str>) -> Self {
        let directory = site.directory().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let write = |file: &str, text: &str| std::fs::write(directory.join(file), text).unwrap();
        write("paper.pem", &[paper.certificate.as_str(), &paper.key].concat());
        write("contacts", "");
        write(
            "config",
            &format!(
                "sip_listen {addr}\nsip_certificate {at}/paper.pem\nsip_cafile {at}/../ca.pem\naudio_player aubridge,sink\n\
                 audio_source aubridge,sink\naudio_alert aubridge,alert\ndns_server {dns}\nmodule_path /usr/lib/baresip/modules\n\
                 module g711.so\nmodule aubridge.so\nmodule_tmp account.so\nmodule_app menu.so\n",
                at = directory.display()
            ),
        );
        let ip = addr.ip();
        write("accounts", &format!("<sip:{name}@{ip};transport=tls>;regint=0;answermode=auto;audio_codecs=PCMA\n"));
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&directory).args(["-t", "60"]).env("HOME", &directory);
        if let Some(uri) = dial {
            command.args(["-e", &format!("/dial {uri}")]);
        }
        let mut process = Process::start(name, site.directory(), &mut command);
        await_tcp(&mut process, (addr.ip(), addr.port() + 1).into());
        Self { process }
    }

    /// Waits until it says this.
    pub(super) fn says(&mut self, what: &str) {
        await_some(what, || {
            self.process.must_run();
            self.process.output().contains(what).then_some(())
        });
    }

    /// Hangs up and ends.
    pub(super) fn end(mut self) {
        self.process.signal("TERM");
        self.process.wait();
    }
}
