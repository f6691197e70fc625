//! The thin shell: sockets, threads, signals. It feeds the core and carries out what the core says; it decides nothing.
//!
//! An address is not a destination. What is sent goes where an [`Output`](crate::core::io::Output) says, and that names a
//! fenced address or the peer of a message, never a bare one:
//!
//! ```compile_fail,E0308
//! use ringfence::core::io::Destination;
//! let addr: std::net::SocketAddr = "192.0.2.1:5060".parse().unwrap();
//! let outside = Destination::Fenced(addr);
//! ```
//!
//! Two threads: one takes, decides and sends messages (`worker`); the other does what may take its time: names, metrics,
//! health. They talk by channels that neither waits on.

mod activation;
mod connection;
mod connection_task;
mod control;
mod daemon;
mod event_loop;
mod handshake;
mod hep;
mod icmp;
mod name_lookups;
mod notify;
mod reload;
pub mod rtpengine;
mod run;
mod sockets;
mod stream;
pub(crate) mod tls;
mod udp;
mod worker;

pub use daemon::{Daemon, RunError};
pub use run::run;
