//! The commands: what each reads, prints and returns.
//!
//! Only translates: arguments to calls, errors to exit codes. Decides nothing about messages.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::config;

mod admin_client;
mod arguments;
mod audit;
mod check;
pub(crate) mod color;
mod diff;
mod drain;
mod exit;
mod explain;
mod help;
mod here;
mod init;
mod manual;
mod mistakes;
mod number;
mod online;
mod output;
mod preflight;
mod printable;
mod probe;
mod reload;
mod resolve;
mod status;
mod told;
mod trace;
mod watch;
mod zone;

use arguments::{Arguments, Command};
use exit::{FAILED, OK, UNAVAILABLE};

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let code = match arguments().command {
        Command::Run { config } => run(config),
        Command::Check { config, online, here, diff, json } => match diff.as_slice() {
            [old, new] => diff::diff(old, new, json),
            _ => check::check(&config, online, here, json),
        },
        Command::Resolve { config, name, json } => resolve::resolve(&config, name, json),
        Command::Zone { config, ttl, zone, servers, json } => {
            let apex = zone.as_deref().map(|zone| zone::Apex { zone, servers: &servers });
            zone::zone(&config, ttl, apex.as_ref(), json)
        }
        Command::Preflight(options) => preflight::preflight(&options),
        Command::Probe(options) => probe::probe(&options),
        Command::Init(options) => init::init(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::Number(options) => number::number(&options),
        Command::Status { admin, json } => status::status(&admin, json),
        Command::Watch(options) => watch::watch(&options),
        Command::Reload { admin, json } => reload::reload(&admin, json),
        Command::Drain { admin, no_wait } => drain::drain(&admin, !no_wait),
        Command::Audit { command } => audit::audit(&command),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::manual(dir.as_deref()),
        Command::Demo { once } => demo(once),
    };
    ExitCode::from(code)
}

/// The arguments. Help is as wide as the terminal; elsewhere its lines are whole, for whoever searches in it.
fn arguments() -> Arguments {
    let command = Arguments::command();
    let command = if std::io::stdout().is_terminal() { command } else { command.term_width(0) };
    Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn run(path: PathBuf) -> u8 {
    let config = match config::load(&path) {
        Ok(config) => config,
        Err(error) => {
            return mistakes::refuse(&error, false);
        }
    };
    let _flush = match crate::telemetry::log::start() {
        Ok(flush) => flush,
        Err(error) => return output::complain(&error.to_string(), UNAVAILABLE),
    };
    for warning in &config.warnings {
        if std::io::stderr().is_terminal() {
            mistakes::print("warning", warning);
        } else {
            // Whoever collects the log reads a line of JSON for each event.
            tracing::warn!("{warning}");
        }
    }
    match crate::net::run(Arc::new(config), path) {
        Ok(()) => OK,
        Err(error) => output::complain(&error.to_string(), UNAVAILABLE),
    }
}

fn demo(once: bool) -> u8 {
    match crate::demo::run(once) {
        Ok(true) => OK,
        Ok(false) => FAILED,
        Err(error) => output::complain(&error, FAILED),
    }
}
