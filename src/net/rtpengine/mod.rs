//! rtpengine: its ng protocol as bytes, and the client that speaks it. Asks what the core wants to know; decides nothing.

mod client;
pub mod ng;

pub(super) use client::NgClient;
