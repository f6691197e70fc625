//! The gate among the software around it: Debian's Caddy and nginx as `deploy/gate` sets them up, `LiveKit`'s SDKs from their registries, and
//! `livekit.mjs`, which stands in for livekit-server, since no registry has that.
//!
//! Each test has a network and an /etc/hosts of its own: both regions are there, under names that the SDKs take for what they are. Needs
//! root.

mod clients;
mod outages;
mod raw;
mod scene;
mod traps;
