//! `ringfence_memory_octets`: what transactions hold, written at each scrape. The core counts; nothing is counted here.

use std::fmt::Write as _;

/// Appends the metric to an exposition.
pub fn expose(octets: usize, text: &mut String) {
    let name = "ringfence_memory_octets";
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP {name} Octets that transactions and waiting messages hold.\n# TYPE {name} gauge\n{name} {octets}\n"
    );
}
