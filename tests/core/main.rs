//! The core from outside: events and a virtual clock in, actions out. No socket, no sleep.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod answers;
mod audit;
mod dialogs;
mod dice;
mod failover;
mod fence_types;
mod finished;
mod fixtures;
mod gateways;
mod health;
mod media;
mod names;
mod nat;
mod nearest;
mod numbers;
mod one_reading;
mod outbound;
mod probes;
mod reasons;
mod relay;
mod reload;
mod reload_fence;
mod rows;
mod secure;
mod selection;
mod servers;
mod shares;
mod sides;
mod simulation;
mod site;
mod spirals;
mod timers;
mod tokens;
mod trunk_names;
mod waiting;
mod ways_out;
