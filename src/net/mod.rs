//! The thin shell: sockets, threads, signals. It feeds the core and carries out what the core says; it decides nothing.
//!
//! An address is not a destination. Bytes go only where an [`Output`](crate::core::io::Output) says. That names a fenced address
//! or the peer of a message, never a bare address:
//!
//! ```compile_fail,E0308
//! use ringfence::core::io::Destination;
//! let addr: std::net::SocketAddr = "192.0.2.1:5060".parse().unwrap();
//! let outside = Destination::Fenced(addr);
//! ```
//!
//! One thread reads, decides and sends messages (`worker`). Another one does what may take time: names, metrics, health. TLS handshakes
//! have threads of their own. They talk by channels on which neither waits.

mod accept;
mod accepted;
mod activation;
mod apart;
mod connect;
mod connection;
mod connection_task;
mod control;
mod daemon;
mod event_loop;
mod handshake;
mod hep;
mod holder;
mod icmp;
mod idle;
mod keep_alive;
mod name_lookups;
mod notify;
mod outgoing;
mod pause;
mod reload;
mod repeat;
pub mod rtpengine;
mod run;
mod sockets;
mod stream;
pub(crate) mod tls;
mod udp;
mod worker;

pub(crate) use daemon::remedy;
pub use daemon::{Daemon, RunError};
pub use run::run;
