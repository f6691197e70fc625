//! Transactions (RFC 3261 17): requests that were forwarded, requests of our own, and the one wheel that wakes them.
//!
//! A transaction is a few timers and the bytes that may have to be sent again. It knows no rules: they were applied before it was
//! opened.

pub(crate) mod awaited;
pub(crate) mod by_key;
pub(crate) mod client;
pub(crate) mod finished;
pub(crate) mod forwarded;
pub(crate) mod last_answer;
pub(crate) mod own_request;
pub(crate) mod server;
pub(crate) mod shares;
pub(crate) mod slots;
pub(crate) mod table;
pub(crate) mod timer;
