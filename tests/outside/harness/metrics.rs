//! Prometheus text, read into samples.

use std::collections::BTreeSet;

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
    text: String,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: String,
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

    /// The sum of all samples of a name that carry these labels; 0 if there is none. For what is counted in whole numbers.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let carries = |has: &[(String, String)], (key, value): &(&str, &str)| has.iter().any(|(k, v)| k == key && v == value);
        let fits = |has: &[(String, String)]| labels.iter().all(|label| carries(has, label));
        let whole = |value: &str| value.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no whole number: {value}"));
        self.samples.iter().filter(|sample| sample.name == name && fits(&sample.labels)).map(|sample| whole(&sample.value)).sum()
    }

    /// The largest of those samples; `None` if there is none.
    #[cfg(feature = "interop")]
    pub(crate) fn most(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let carries = |sample: &Sample, (key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
        let fits = |sample: &&Sample| sample.name == name && labels.iter().all(|label| carries(sample, label));
        self.samples.iter().filter(fits).map(|sample| sample.value.parse().unwrap()).reduce(f64::max)
    }

    /// Every series, by its name and labels.
    pub(crate) fn series(&self) -> BTreeSet<String> {
        self.samples.iter().map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
    }

    /// Whether every message received has ended in an outcome.
    pub(crate) fn settled(&self) -> bool {
        self.sum("ringfence_received_total", &[]) == self.sum("ringfence_messages_total", &[])
    }

    /// Whether no transaction is open, nor about to be.
    pub(crate) fn released(&self) -> bool {
        self.settled() && self.sum("ringfence_transactions", &[]) == 0
    }

    /// The verdicts for one reason.
    pub(crate) fn verdicts(&self, verdict: &str, reason: &str) -> u64 {
        self.sum("ringfence_verdicts_total", &[("verdict", verdict), ("reason", reason)])
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    assert!(value.parse::<f64>().is_ok(), "no number: {line}");
    let value = value.to_owned();
    let Some((name, labels)) = series.split_once('{') else {
        return Sample { name: series.to_owned(), labels: Vec::new(), value };
    };
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
    let mut labels = Vec::new();
    while let Some((key, tail)) = rest.split_once("=\"") {
        let (text, tail) = tail.split_once('"').unwrap_or_else(|| panic!("label does not end: {line}"));
        labels.push((key.trim_start_matches(',').to_owned(), text.to_owned()));
        rest = tail;
    }
    Sample { name: name.to_owned(), labels, value }
}
