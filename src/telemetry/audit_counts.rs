//! `ringfence_audit_*`: written at each scrape, so that a daemon without an audit record has no such series.

use std::fmt::Write as _;

/// How an audit record stands, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCounts {
    /// Records that are on the disk.
    pub kept: u64,
    /// Records that had no room in the spool.
    pub dropped: u64,
    /// Records that wait to be on the disk.
    pub behind: u64,
    /// When the last checkpoint was written, in seconds since 1970. `None`: this process has written none yet.
    pub checkpoint: Option<u64>,
}

/// Appends the metrics to an exposition.
pub fn expose(counts: &AuditCounts, text: &mut String) {
    let AuditCounts { kept, dropped, behind, checkpoint } = counts;
    let name = "ringfence_audit_records_total";
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP {name} Audit records that are on the disk (kept), and those that had no room in the spool (dropped).\n\
         # TYPE {name} counter\n{name}{{result=\"kept\"}} {kept}\n{name}{{result=\"dropped\"}} {dropped}\n"
    );
    let name = "ringfence_audit_behind_records";
    let _ = writeln!(text, "# HELP {name} Audit records that wait to be on the disk.\n# TYPE {name} gauge\n{name} {behind}\n");
    let name = "ringfence_audit_checkpoint_timestamp_seconds";
    if let Some(at) = checkpoint {
        let help = "When the last checkpoint of the audit record was written, in seconds of the Unix epoch.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {at}\n");
    }
}
