//! The admin endpoint. Answers; decides nothing.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the same as `/status`, as a page for people |
//! | `/metrics` | Prometheus text |
//! | `/healthz` | 200 while the worker's loop turns, else 503 |
//! | `/readyz` | 200 while calls are taken, else 503 and what is missing; both say which regions have no server |
//! | `/status` | JSON: the last hour's verdicts, regions, targets and why they are down, names and what they resolve to |
//! | `/watch` | a stream of JSON lines: each decision as it is made |
//! | `/refused` | JSON: messages that were refused lately, and why |
//! | `/audit/checkpoint` | the latest checkpoint of the audit record; 404 if there is none |
//! | `/reload` | by POST: what became of the reload, as JSON; 503 if nobody reloads here |
//! | `/drain` | by POST: 202; no more calls are taken, and the daemon ends once the open ones have their answer |
//!
//! A request whose Host is not a name of this endpoint is answered 421. Any other path is answered 404. A method other than GET
//! and HEAD (POST for `/reload` and `/drain`) is answered 405. Connections are few, and short but for those of `/watch`. A slow scraper delays only itself.

mod hosts;
mod html;
mod page;
mod query;
mod ready;
mod reload_door;
mod server;
mod status;
pub(crate) mod troubles;
mod watching;
mod worker_handle;

pub(crate) use hosts::OwnHosts;
pub use ready::{Latch, Ready};
pub(crate) use reload_door::{LastReload, ReloadAnswer, ReloadDoor, ReloadOutcome};
pub(crate) use server::{Connections, Sources, serve};
pub(crate) use worker_handle::{ControlHandle, ControlQuestions, Known, Question, Questions, Standing, WorkerHandle};
