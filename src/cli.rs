//! The commands: what each reads, prints and returns.
//!
//! Translates only: arguments to calls, errors to exit codes. Decides nothing about messages.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config::{self, ConfigError, Mistake, Written};

mod check;
mod online;
pub(crate) mod paint;
mod resolve;
mod trace;

use paint::Paint;

/// Everything went as it should.
const OK: u8 = 0;
/// Something did not go as it should: a call of the demonstration, a name that was looked up.
const FAILED: u8 = 1;
/// The configuration file cannot be read (`EX_NOINPUT` of sysexits.h).
const NO_INPUT: u8 = 66;
/// What the configuration asks for is not to be had, for example a port (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// The configuration has mistakes (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// A SIP proxy that keeps calls inside a region.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, arg_required_else_help = true, subcommand_required = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: SIGHUP reloads, SIGTERM drains
    #[command(after_help = "Exit codes:
   0  drained and stopped
   2  wrong arguments
  66  FILE cannot be read
  69  a listener cannot be bound, or another resource is missing
  78  the configuration has mistakes")]
    Run {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say everything that is wrong with a configuration, or what it means
    #[command(after_help = "Exit codes:
   0  valid (there may be warnings), and with --online every address is inside for everyone who sends to its name
   1  --online: a name is outside, in part or whole, or resolves to nothing, or DNS failed
   2  wrong arguments
  66  FILE cannot be read
  69  --online: there are no usable name servers
  78  the configuration has mistakes")]
    Check {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Resolve every name of the configuration too, and say what is outside
        #[arg(long)]
        online: bool,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Show the way from a name to its servers (RFC 3263), what of it is inside, and in which order calls would try it
    #[command(after_help = "Exit codes:
   0  every address is inside, for everyone in FILE who sends to NAME; if nobody does, inside some region
   1  some addresses are outside
   2  wrong arguments
   3  all addresses are outside
   4  NAME resolves to nothing
   5  DNS failed
  66  FILE cannot be read
  69  there are no usable name servers
  78  the configuration has mistakes")]
    Resolve {
        /// The configuration: name servers, networks, and who sends to NAME
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// What may stand in `upstream` or `uri`: sip:HOST[:PORT][;transport=udp|tcp], HOST or HOST:PORT
        name: Written,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Show the daemon at work on loopback: two regions, a trunk, four calls, their ladders and verdicts
    #[command(after_help = "Exit codes:
   0  every call ended as it should
   1  one did not
   2  wrong arguments")]
    Demo {
        /// Exit after the calls instead of keeping /metrics up until Ctrl-C
        #[arg(long)]
        once: bool,
    },
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let code = match Arguments::parse().command {
        Command::Run { config } => run(config),
        Command::Check { config, online, json } => check::check(&config, online, json),
        Command::Resolve { config, name, json } => resolve::resolve(&config, name, json),
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
    let paint = Paint::on(out.is_terminal());
    let _ = writeln!(out, "{}\n", check::drawn(kind, mistake, paint));
}

/// How a file is named to people.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
