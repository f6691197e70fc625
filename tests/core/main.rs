//! The core from outside: events and a virtual clock in, actions out. No socket, no sleep.

mod dialogs;
mod failover;
mod fence_types;
mod reasons;
mod simulation;
mod site;
mod timers;
