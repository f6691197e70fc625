//! From files to the snapshot, or to all mistakes at once.
//!
//! Reads the files and the route key's content; certificates are read by `secure`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use super::build::build;
use super::caller_table::CallerTable;
use super::error::ConfigError;
use super::file::{Main, Parts};
use super::ids::TrunkId;
use super::limits::{Dns, Secret};
use super::report::{File, Place, Placed, Report, good};
use super::snapshot::Config;
use super::tls_parties::TlsParties;
use super::{bounds, disk, include, overlap, reader, warning};
use crate::reason::Profile;

/// Longest file that is read, in octets.
const LONGEST_FILE: u64 = 16 << 20;
/// Fewest octets that a route key's file may have.
const SHORTEST_SECRET: usize = 16;
/// Most octets of a route key's file.
const LONGEST_SECRET: u64 = 64 << 10;

/// Loads a configuration file with everything that it includes.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let mut report = Report::default();
    match disk::text(path, LONGEST_FILE) {
        Ok(text) => assemble(File { path: path.to_owned(), text }, true, report),
        Err(wrong) => {
            let files = [File { path: path.to_owned(), text: String::new() }];
            report.mistake(&Place { file: 0, span: None }, wrong, "a readable TOML file");
            Err(ConfigError { mistakes: report.finish(&files).0, unreadable: true })
        }
    }
}

/// Loads a configuration from a text, as if it were the file `name`. The text cannot include files.
pub fn parse(name: &Path, text: &str) -> Result<Config, ConfigError> {
    assemble(File { path: name.to_owned(), text: text.to_owned() }, false, Report::default())
}

fn assemble(main_file: File, includes: bool, mut report: Report) -> Result<Config, ConfigError> {
    let mut parts = Parts::default();
    let folder = main_file.path.parent().map(Path::to_owned).unwrap_or_default();
    let mut files = vec![main_file];
    let mut main: Option<Main> = None;
    let mut whole = true;
    let mut at = 0;
    while let Some(file) = files.get(at) {
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        if errors.is_empty() {
            if at == 0 {
                main = Some(reader::read_main(table.get_ref(), &mut parts, &mut report));
            } else {
                reader::read_included(at, table.get_ref(), &mut parts, &mut report);
            }
        } else {
            whole = false;
            syntax(at, &errors, &mut report);
        }
        if at == 0 {
            let patterns = main.as_ref().and_then(|main| good(&main.include)).map(Vec::as_slice).unwrap_or_default();
            if includes {
                let more = include::files(&folder, patterns, &files, &mut report);
                for (path, place) in more {
                    match disk::text(&path, LONGEST_FILE) {
                        Ok(text) => files.push(File { path, text }),
                        Err(wrong) => {
                            whole = false;
                            report.mistake(&place, format!("{}: {wrong}", path.display()), "a readable TOML file");
                        }
                    }
                }
            } else if let Some(pattern) = patterns.first() {
                report.mistake(&pattern.place, "a text of its own includes nothing", "leave `include` out");
            }
        }
        at += 1;
    }
    // A file that could not be read may hold what the others refer to: nothing is said about references then.
    let config = match &main {
        Some(main) if whole => Some(snapshot(main, &parts, &folder, &files, &mut report)),
        _ => None,
    };
    let (mistakes, warnings) = report.finish(&files);
    match config {
        Some(config) if mistakes.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(ConfigError { mistakes, unreadable: false }),
    }
}

fn snapshot(main: &Main, parts: &Parts, folder: &Path, files: &[File], report: &mut Report) -> Config {
    let built = build(main, parts, folder, SystemTime::now(), report);
    overlap::check(main, parts, report);
    warning::check(main, parts, report);
    let timers = bounds::timers(&main.timers, report);
    let limits = bounds::limits(&main.limits, &timers, report);
    let trunks = || (0..).map(TrunkId).zip(&built.trunks);
    Config {
        digest: digest(files, &built.certificates),
        files: files.iter().map(|file| file.path.clone()).collect(),
        caller_table: CallerTable::of(trunks().map(|(id, trunk)| (id, &trunk.networks)))
            .certified(trunks().map(|(id, trunk)| (id, trunk.certificates.as_slice()))),
        tls_parties: TlsParties::of(&built.regions, &built.trunks, &built.names),
        regions: built.regions,
        projects: built.projects,
        trunks: built.trunks,
        listeners: built.listeners,
        signalling: built.signalling,
        names: built.names,
        endpoints: built.endpoints,
        reject: good(&main.reject).map_or(Profile::GENERIC, |reject| reject.value),
        admin: main.admin.as_ref().map(|admin| good(&admin.listen).map_or(bounds::ADMIN, |listen| listen.value)),
        admin_hosts: (main.admin.iter().filter_map(|admin| good(&admin.hosts)).flatten())
            .map(|host| host.value.clone())
            .collect(),
        dns: Dns {
            servers: good(&main.dns_servers).into_iter().flatten().map(|server| server.value).collect(),
            stale: bounds::stale(&main.dns_stale, report),
            vanish: bounds::vanish(&main.dns_vanish, report),
        },
        limits,
        timers,
        health: bounds::health(&main.health, report),
        secret: good(&main.secret).and_then(|file| secret(folder, file, report)),
        warnings: Vec::new(),
    }
}

/// Reports only the first syntax error of a file, because a parser guesses after that.
fn syntax(file: usize, errors: &[toml::de::Error], report: &mut Report) {
    let Some(error) = errors.iter().min_by_key(|error| error.span().map(|span| span.start)) else { return };
    let (wrong, right) = match error.message().split_once(", expected ") {
        Some((wrong, expected)) => (wrong, format!("expected {expected}")),
        None if error.message() == "duplicate key" => ("duplicate key", "each key and each [table] once".to_owned()),
        None => (error.message(), "TOML, see https://toml.io".to_owned()),
    };
    report.mistake(&Place { file, span: Some(error.span().unwrap_or_default()) }, wrong, right);
}

/// The digest of the files and of the certificates that they name: it changes if one of those does.
fn digest(files: &[File], certificates: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(&file.text);
    }
    for certificate in certificates {
        hash.update(certificate);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, octet| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}

/// The route key: the first 16 octets of the SHA-256 of the file's content.
fn secret(folder: &Path, file: &Placed<String>, report: &mut Report) -> Option<Secret> {
    let path: PathBuf = folder.join(&file.value);
    let content = match disk::octets(&path, LONGEST_SECRET) {
        Ok(content) => content,
        Err(wrong) => {
            report.mistake(&file.place, format!("{}: {wrong}", path.display()), "a file of at least 16 random octets");
            return None;
        }
    };
    if content.len() < SHORTEST_SECRET {
        let wrong = format!("{} holds {} octets", path.display(), content.len());
        report.mistake(&file.place, wrong, format!("at least {SHORTEST_SECRET} random octets"));
        return None;
    }
    Sha256::digest(&content).first_chunk().copied().map(Secret)
}
