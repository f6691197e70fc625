//! The commands: what each reads, prints and returns.

use std::process::ExitCode;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    todo!()
}
