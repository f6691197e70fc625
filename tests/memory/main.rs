//! What calls cost in memory, as the allocator counts it: the bounds that docs/benchmarks.md promises. No clock.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../../benches/instructions/call.rs"]
#[expect(dead_code, reason = "the instructions need more of it")]
mod call;

use call::{Scene, Step};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// So many calls that what there is once does not show.
const CALLS: u32 = 20_000;

/// The octets that a core holds for each call that has come as far as this, as the allocator counts and as the core says.
fn octets(of_call: impl Fn(&mut Scene, u32)) -> (usize, usize) {
    let mut scene = Scene::new();
    of_call(&mut scene, 1_000_000);
    let (region, said) = (Region::new(COUNTING), scene.octets());
    (0..CALLS).for_each(|number| of_call(&mut scene, 1_000_001 + number));
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated;
    (held / CALLS as usize, (scene.octets() - said) / CALLS as usize)
}

/// One test: the counts are the whole process's.
#[test]
fn a_call_holds_no_more_than_its_bound_and_is_counted_as_what_it_holds() {
    // Six messages, and then both requests only absorb repetitions.
    let (finished, said) = octets(|scene, number| {
        scene.call(number, Step::ByeAnswer);
        scene.handle();
    });
    assert!(finished <= 500, "{finished} octets for a call that is over");
    assert!((finished..finished * 5 / 4).contains(&said), "{said} octets are counted for {finished}");
    // It has rung, and nobody has answered.
    let (pending, said) = octets(|scene, number| scene.call(number, Step::Answer));
    assert!(pending <= 3000, "{pending} octets for a pending INVITE");
    assert!((pending..pending * 5 / 4).contains(&said), "{said} octets are counted for {pending}");
    // A refused call is remembered in a bounded memory alone.
    let (refused, said) = octets(|scene, number| {
        scene.next_refused(number);
        scene.handle();
    });
    assert!(refused <= 500 && said == 0, "{refused} octets for a refused call, {said} are counted");
}
