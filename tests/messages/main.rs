//! The message layer against what the standards say, what others read, and what strangers send.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod byte_identity;
mod fixtures;
mod generate;
mod media;
mod no_panic;
mod oracle;
mod readers;
mod stream_split;
