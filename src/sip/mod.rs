//! Bytes to meaning and back; no policy.
//!
//! A received buffer is scanned once, in place; the result is an index into it. One parser frames, decides and forwards, so a
//! rule and the bytes that leave cannot disagree. A message is forwarded by splicing: bytes that no rule changes leave as they
//! came. Nothing here panics, allocates per header, reads a clock or sends.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used, clippy::expect_used)
)]

pub mod address;
#[cfg(any(test, fuzzing))]
pub mod alike;
pub mod body;
pub mod edit;
mod fault;
pub mod frame;
pub mod header;
mod index;
mod line;
pub mod list;
mod marks;
pub mod method;
mod multipart;
pub mod number;
pub mod parameter;
pub mod plain;
mod quick;
pub mod reply;
pub mod request;
pub mod response;
mod rows;
pub mod scan;
pub mod sdp;
mod start;
mod transfer;
pub mod uri;
pub mod via;

pub use header::{Header, Name};
pub use method::Method;
pub use request::Request;
pub use response::Response;
pub(crate) use rows::SeveralRoutes;
pub use scan::{Fault, Message, Start};
