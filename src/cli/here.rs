//! `ringfence check --here`: whether this machine has the addresses and ports of a configuration, keeps its keys secret, and can keep its audit
//! record. Opens each socket and closes it at once; sends nothing, writes nothing.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};
use serde_json::{Value, json};

use super::color::{Colors, Tint};
use super::output::shown;
use crate::audit::SPOOL_OCTETS;
use crate::config::Config;
use crate::net::remedy;

/// One socket that the daemon would listen on.
pub(super) struct Socket {
    /// As in the file: `udp:203.0.113.10:5060 of region eu`.
    what: String,
    /// Why it cannot be had, and what to do, if it cannot.
    pub(super) wrong: Option<(String, Option<String>)>,
}

/// Tries each socket of the configuration.
pub(super) fn sockets(config: &Config) -> Vec<Socket> {
    let listeners = config.listeners.iter().map(|of| {
        let what = format!("{}:{} of region {}", of.transport.token(), of.addr, config.region(of.region).name);
        tried(what, of.addr, of.transport.reliable())
    });
    let gate = config.gate.as_ref().map(|gate| tried(format!("gate {}", gate.listen), gate.listen, true));
    listeners.chain(gate).chain(config.admin.map(|addr| tried(format!("admin {addr}"), addr, true))).collect()
}

fn tried(what: String, addr: SocketAddr, stream: bool) -> Socket {
    let tried: io::Result<()> = if stream { TcpListener::bind(addr).map(drop) } else { UdpSocket::bind(addr).map(drop) };
    Socket { what, wrong: tried.err().map(|error| (error.to_string(), remedy(&error, addr, stream))) }
}

/// Something of the audit record that this machine does not have as it should.
pub(super) struct AuditWarning {
    what: String,
    wrong: String,
    right: &'static str,
}

/// What is wrong with the places of the audit record.
pub(super) fn audit(config: &Config) -> Vec<AuditWarning> {
    let Some(audit) = &config.audit else { return Vec::new() };
    let mut found = Vec::new();
    let spool = existing(audit.spool.parent().unwrap_or(&audit.spool));
    let mut add = |what: &str, path: &Path, wrong: String, right| {
        found.push(AuditWarning { what: format!("audit {what} {}", shown(path)), wrong, right });
    };
    if statfs(spool).is_ok_and(|found| found.filesystem_type() != TMPFS_MAGIC) {
        let right = "a directory in memory, for example /run/ringfence: a slow disk must hold no message up";
        add("spool", &audit.spool, format!("{} is on no tmpfs", shown(spool)), right);
    }
    let has = std::fs::metadata(&audit.spool).map_or(0, |about| about.blocks() * 512);
    let free =
        statfs(spool).map_or(u64::MAX, |found| found.blocks_available().saturating_mul(found.block_size().cast_unsigned()));
    if has.saturating_add(free) < SPOOL_OCTETS {
        let wrong = format!(
            "{} has room for {} MiB, and it takes {}",
            shown(spool),
            has.saturating_add(free) >> 20,
            SPOOL_OCTETS.div_ceil(1 << 20)
        );
        add("spool", &audit.spool, wrong, "80 MiB, of which it takes most at once");
    }
    for (what, path, folder) in [("spool", &audit.spool, spool), ("path", &audit.path, existing(&audit.path))] {
        if let Err(error) = access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
            let wrong = format!("the user of this command cannot write in {}: {}", shown(folder), error.desc());
            add(what, path, wrong, "a directory that the daemon's user may write");
        }
    }
    found
}

/// The directory itself, or the one that it would be made in.
fn existing(path: &Path) -> &Path {
    let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    if path.exists() { path } else { parent.unwrap_or(path) }
}

/// The key files that every user of this machine may read.
pub(super) fn open_keys(config: &Config) -> Vec<&Path> {
    let everyones = |path: &&Path| std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o006 != 0);
    config.key_files.iter().map(PathBuf::as_path).filter(everyones).collect()
}

pub(super) fn text(sockets: &[Socket], keys: &[&Path], audit: &[AuditWarning], colors: Colors) -> String {
    let mut out = String::new();
    for AuditWarning { what, wrong, right } in audit {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "here     {what}  {}\n         = {right}", colors.text(Tint::Yellow, wrong));
    }
    for key in keys {
        let (key, wrong) = (shown(key), colors.text(Tint::Yellow, "every user of this machine may read it"));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "here     key {key}  {wrong}\n         = chmod o= {key}: the daemon's user alone needs it");
    }
    for Socket { what, wrong } in sockets {
        // Writing to a string cannot fail.
        let _ = match wrong {
            None => writeln!(out, "here     {what}  {}", colors.text(Tint::Green, "free")),
            Some((wrong, None)) => writeln!(out, "here     {what}  {}", colors.text(Tint::Red, wrong)),
            Some((wrong, Some(right))) => writeln!(out, "here     {what}  {}\n         = {right}", colors.text(Tint::Red, wrong)),
        };
    }
    out
}

/// The keys as JSON: those that are not secret.
pub(super) fn keys_json(keys: &[&Path]) -> Value {
    keys.iter().map(|key| shown(key)).collect()
}

/// What is wrong with the audit record, as JSON.
pub(super) fn audit_json(audit: &[AuditWarning]) -> Value {
    audit.iter().map(|AuditWarning { what, wrong, right }| json!({ "what": what, "wrong": wrong, "right": right })).collect()
}

pub(super) fn json(sockets: &[Socket]) -> Value {
    let socket = |Socket { what, wrong }: &Socket| {
        let (wrong, right) = wrong.clone().map_or((None, None), |(wrong, right)| (Some(wrong), right));
        json!({ "socket": what, "free": wrong.is_none(), "wrong": wrong, "right": right })
    };
    sockets.iter().map(socket).collect()
}
