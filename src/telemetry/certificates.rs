//! `ringfence_tls_certificate_expiry_seconds`: written at each scrape, so that a region without a certificate has no series.

use std::fmt::Write as _;
use std::time::SystemTime;

const NAME: &str = "ringfence_tls_certificate_expiry_seconds";
const HELP: &str = "When the region's certificate ends, in seconds of the Unix epoch.";

/// Appends the metric to an exposition, for regions by name; nothing if no region has a certificate.
pub fn expose<'a>(ends: impl IntoIterator<Item = (&'a str, SystemTime)>, text: &mut String) {
    let lines = ends.into_iter().fold(String::new(), |mut lines, (region, ends)| {
        let ends = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Writing to a string cannot fail. A region's name is a token: nothing in it needs an escape.
        let _ = writeln!(lines, "{NAME}{{region=\"{region}\"}} {}", ends.as_secs());
        lines
    });
    if !lines.is_empty() {
        let _ = writeln!(text, "# HELP {NAME} {HELP}\n# TYPE {NAME} gauge\n{lines}");
    }
}
