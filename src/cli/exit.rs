//! What a command returns to the shell that started it.

use crate::config::ConfigError;

/// Success.
pub(super) const OK: u8 = 0;
/// Failure: a call of the demonstration, or the look-up of a name, did not go as it should.
pub(super) const FAILED: u8 = 1;
/// The arguments are wrong. It is clap's own code.
pub(super) const WRONG: u8 = 2;
/// The configuration file cannot be read (`EX_NOINPUT` of sysexits.h).
pub(super) const NO_INPUT: u8 = 66;
/// Something that the configuration needs is unavailable: a port is taken, or no name server answers (`EX_UNAVAILABLE`).
pub(super) const UNAVAILABLE: u8 = 69;
/// The configuration has mistakes (`EX_CONFIG`).
pub(super) const CONFIG: u8 = 78;

/// The code for a configuration that cannot be used.
pub(super) fn of(error: &ConfigError) -> u8 {
    if error.unreadable { NO_INPUT } else { CONFIG }
}
