//! The commands: what each reads, prints and returns.
//!
//! Translates only: arguments to calls, errors to exit codes. Decides nothing about messages.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;

use crate::config::{self, ConfigError, Mistake};

mod arguments;
mod check;
pub(crate) mod color;
mod diff;
mod explain;
mod fields;
mod help;
mod manual;
mod online;
mod probe;
mod resolve;
mod trace;
mod zone;

use arguments::{Arguments, Command};
use color::Colors;

/// Everything went as it should.
const OK: u8 = 0;
/// Something did not go as it should: a call of the demonstration, a name that was looked up.
const FAILED: u8 = 1;
/// The arguments are wrong, as clap says it.
const WRONG: u8 = 2;
/// The configuration file cannot be read (`EX_NOINPUT` of sysexits.h).
const NO_INPUT: u8 = 66;
/// What the configuration asks for is not to be had, for example a port (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// The configuration has mistakes (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let code = match Arguments::parse().command {
        Command::Run { config } => run(config),
        Command::Check { config, online, diff, json } => match (config, diff.as_slice()) {
            (_, [old, new]) => diff::diff(old, new, json),
            (Some(config), _) => check::check(&config, online, json),
            // clap asks for one of them.
            (None, _) => WRONG,
        },
        Command::Resolve { config, name, json } => resolve::resolve(&config, name, json),
        Command::Zone { config, ttl, zone, servers } => {
            let apex = zone.as_deref().map(|zone| zone::Apex { zone, servers: &servers });
            zone::zone(&config, ttl, apex.as_ref())
        }
        Command::Probe(options) => probe::probe(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::manual(dir.as_deref()),
        Command::Demo { once } => demo(once),
    };
    ExitCode::from(code)
}

fn run(path: PathBuf) -> u8 {
    let config = match config::load(&path) {
        Ok(config) => config,
        Err(error) => {
            print_mistakes(&error);
            return exit_code(&error);
        }
    };
    for warning in &config.warnings {
        print_mistake("warning", warning);
    }
    let _flush = match crate::telemetry::log::start() {
        Ok(flush) => flush,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ringfence: {error}");
            return UNAVAILABLE;
        }
    };
    match crate::net::run(Arc::new(config), path) {
        Ok(()) => OK,
        Err(error) => {
            // Nothing is left to be told if standard error is closed.
            let _ = writeln!(std::io::stderr(), "ringfence: {error}");
            UNAVAILABLE
        }
    }
}

fn demo(once: bool) -> u8 {
    match crate::demo::run(once) {
        Ok(true) => OK,
        Ok(false) => FAILED,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ringfence: {error}");
            FAILED
        }
    }
}

fn exit_code(error: &ConfigError) -> u8 {
    if error.unreadable { NO_INPUT } else { CONFIG }
}

fn print_mistakes(error: &ConfigError) {
    for mistake in &error.mistakes {
        print_mistake("error", mistake);
    }
}

/// One mistake or warning on standard error, with an empty line after it.
fn print_mistake(kind: &str, mistake: &Mistake) {
    let mut out = std::io::stderr().lock();
    let colors = Colors::on(out.is_terminal());
    let _ = writeln!(out, "{}\n", check::drawn(kind, mistake, colors));
}

/// Says on standard error why there is nothing else to say.
fn complain(what: &str, code: u8) -> u8 {
    // Nothing is left to be told if standard error is closed.
    let _ = writeln!(std::io::stderr(), "ringfence: {what}");
    code
}

/// A closed pipe has read all that it wanted.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// How a file is named to people.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
