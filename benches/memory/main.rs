//! What calls cost in memory and in allocations, as the allocator counts them. They do not change with the machine's mood.
//!
//! Run with `cargo bench --bench memory`. `tests/memory` holds the bounds; `benches/memory/run` looks at the daemon itself.
#![expect(clippy::print_stdout, reason = "a bench prints what it has measured")]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../instructions/call.rs"]
#[expect(dead_code, reason = "the instructions need more of it")]
mod call;

use call::{Scene, Step};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: u32 = 100_000;

/// Octets that a core holds for each of many calls.
fn octets(name: &str, of_call: impl Fn(&mut Scene, u32)) {
    let mut scene = Scene::new();
    of_call(&mut scene, 1_000_000);
    let (region, said) = (Region::new(COUNTING), scene.octets());
    (0..CALLS).for_each(|number| of_call(&mut scene, 1_000_001 + number));
    let change = region.change();
    let held = (change.bytes_allocated - change.bytes_deallocated) / CALLS as usize;
    println!("{name}: {held} octets, counted as {}", (scene.octets() - said) / CALLS as usize);
}

/// Allocations of one message, when many calls have been before it: what grows has grown.
fn allocations(name: &str, mut scene: Scene, next: impl Fn(&mut Scene, u32)) -> usize {
    let mut all = 0;
    for number in 0..1000 {
        next(&mut scene, 2_000_000 + number);
        let region = Region::new(COUNTING);
        scene.handle();
        let change = region.change();
        all += change.allocations + change.reallocations;
    }
    println!("{name}: {}.{:02} allocations", all / 1000, all % 1000 / 10);
    all
}

fn main() {
    octets("a pending INVITE", |scene, number| scene.call(number, Step::Answer));
    octets("a finished call", |scene, number| {
        scene.call(number, Step::ByeAnswer);
        scene.handle();
    });
    let steps = [
        ("INVITE", Step::Invite),
        ("180", Step::Ringing),
        ("200 to INVITE", Step::Answer),
        ("ACK", Step::Ack),
        ("BYE", Step::Bye),
        ("200 to BYE", Step::ByeAnswer),
    ];
    let of_call: usize =
        steps.map(|(name, step)| allocations(name, Scene::new(), move |scene, number| scene.call(number, step))).iter().sum();
    println!("a call: {}.{:02} allocations", of_call / 1000, of_call % 1000 / 10);
    allocations("a refusal", Scene::new(), Scene::next_refused);
}
