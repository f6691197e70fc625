//! What a command returns to the shell that started it.

use crate::config::ConfigError;

/// Everything went as it should.
pub(super) const OK: u8 = 0;
/// Something did not go as it should: a call of the demonstration, a name that was looked up.
pub(super) const FAILED: u8 = 1;
/// The arguments are wrong, as clap says it.
pub(super) const WRONG: u8 = 2;
/// The configuration file cannot be read (`EX_NOINPUT` of sysexits.h).
pub(super) const NO_INPUT: u8 = 66;
/// What the configuration asks for is not to be had, for example a port (`EX_UNAVAILABLE`).
pub(super) const UNAVAILABLE: u8 = 69;
/// The configuration has mistakes (`EX_CONFIG`).
pub(super) const CONFIG: u8 = 78;

/// The code for a configuration that cannot be used.
pub(super) fn of(error: &ConfigError) -> u8 {
    if error.unreadable { NO_INPUT } else { CONFIG }
}
