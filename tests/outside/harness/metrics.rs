//! Prometheus text, read into samples.

use std::collections::BTreeSet;

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics {
    samples: Vec<(String, Vec<(String, String)>, f64)>,
    text: String,
}

impl Metrics {
    /// Reads the exposition format; a line that is none fails the test.
    pub(crate) fn read(text: String) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(sample).collect();
        Self { samples, text }
    }

    /// The scraped text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The sum of all samples of a name that carry these labels; 0 if there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let carries = |has: &[(String, String)], (key, value): &(&str, &str)| has.iter().any(|(k, v)| k == key && v == value);
        let fits = |has: &[(String, String)]| labels.iter().all(|label| carries(has, label));
        self.samples.iter().filter(|(of, has, _)| of == name && fits(has)).map(|(_, _, value)| value).sum()
    }

    /// Every series, by its name and labels.
    pub(crate) fn series(&self) -> BTreeSet<String> {
        self.samples.iter().map(|(name, labels, _)| format!("{name} {labels:?}")).collect()
    }

    /// The verdicts on requests of `region`, for one reason.
    pub(crate) fn verdicts(&self, verdict: &str, reason: &str) -> f64 {
        self.sum("ringfence_verdicts_total", &[("verdict", verdict), ("reason", reason)])
    }
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = series.split_once('{') else { return (series.to_owned(), Vec::new(), value) };
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
    let mut found = Vec::new();
    while let Some((key, tail)) = rest.split_once("=\"") {
        let (text, tail) = tail.split_once('"').unwrap_or_else(|| panic!("label does not end: {line}"));
        found.push((key.trim_start_matches(',').to_owned(), text.to_owned()));
        rest = tail;
    }
    (name.to_owned(), found, value)
}
