//! The series: which are registered, their values, and their text. Series can be removed, so that names which a reload took away
//! do not pile up. A handle to a removed series counts into nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};
use metrics_util::registry::AtomicStorage;
use metrics_util::storage::Histogram as Distribution;

/// Series by name and labels.
pub(super) struct Registry {
    series: metrics_util::registry::Registry<Key, AtomicStorage>,
    help: Mutex<HashMap<String, SharedString>>,
    /// The samples taken out of the histograms' buffers so far.
    distributions: Mutex<HashMap<Key, Distribution>>,
    /// The buckets of a histogram, by its name.
    buckets: fn(&str) -> &'static [f64],
}

impl Registry {
    /// An empty registry.
    pub(super) fn new(buckets: fn(&str) -> &'static [f64]) -> Self {
        let series = metrics_util::registry::Registry::new(AtomicStorage);
        Self { series, help: Mutex::default(), distributions: Mutex::default(), buckets }
    }

    /// Removes the series for whose labels `keep` is false.
    pub(super) fn retain(&self, keep: impl Fn(&Key) -> bool) {
        self.series.retain_counters(|key, _| keep(key));
        self.series.retain_gauges(|key, _| keep(key));
        self.series.retain_histograms(|key, _| keep(key));
        lock(&self.distributions).retain(|key, _| keep(key));
    }

    /// Takes the samples out of the histograms' buffers.
    pub(super) fn upkeep(&self) {
        let mut distributions = lock(&self.distributions);
        self.series.visit_histograms(|key, histogram| {
            if !distributions.contains_key(key) {
                let Some(empty) = Distribution::new((self.buckets)(key.name())) else { return };
                distributions.insert(key.clone(), empty);
            }
            if let Some(distribution) = distributions.get_mut(key) {
                histogram.clear_with(|samples| distribution.record_many(samples));
            }
        });
    }

    /// The exposition, with metrics in the order of their names.
    pub(super) fn render(&self) -> String {
        self.upkeep();
        let mut metrics: BTreeMap<String, (&'static str, String)> = BTreeMap::new();
        let mut lines = |key: &Key, kind, write: &dyn Fn(&mut String, &str)| {
            if !metrics.contains_key(key.name()) {
                metrics.insert(key.name().to_owned(), (kind, String::new()));
            }
            if let Some((_, text)) = metrics.get_mut(key.name()) {
                write(text, &labels(key));
            }
        };
        self.series.visit_counters(|key, counter| {
            let value = counter.load(Ordering::Relaxed);
            lines(key, "counter", &|text, labels| sample(text, key.name(), "", labels, value));
        });
        self.series.visit_gauges(|key, gauge| {
            let value = f64::from_bits(gauge.load(Ordering::Relaxed));
            lines(key, "gauge", &|text, labels| sample(text, key.name(), "", labels, value));
        });
        for (key, histogram) in &*lock(&self.distributions) {
            lines(key, "histogram", &|text, labels| {
                let name = key.name();
                let bounds = histogram.buckets().into_iter().map(|(bound, count)| (bound.to_string(), count));
                for (bound, count) in bounds.chain([("+Inf".to_owned(), histogram.count())]) {
                    let separator = if labels.is_empty() { "" } else { "," };
                    sample(text, name, "_bucket", &format!("{labels}{separator}le=\"{bound}\""), count);
                }
                sample(text, name, "_sum", labels, histogram.sum());
                sample(text, name, "_count", labels, histogram.count());
            });
        }
        let help = lock(&self.help);
        let mut text = String::new();
        for (name, (kind, samples)) in metrics {
            if let Some(help) = help.get(&name) {
                write_help_line(&mut text, &name, None, None, help);
            }
            write_type_line(&mut text, &name, None, None, kind);
            text.push_str(&samples);
            text.push('\n');
        }
        text
    }

    fn describe(&self, name: &KeyName, help: SharedString) {
        lock(&self.help).insert(name.as_str().to_owned(), help);
    }
}

/// Locks a map even if a thread has panicked, because maps are whole between two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn labels(key: &Key) -> String {
    let mut text = String::new();
    for label in key.labels() {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{}=\"{}\"", label.key(), sanitize_label_value(label.value()));
    }
    text
}

fn sample(text: &mut String, name: &str, suffix: &str, labels: &str, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = if labels.is_empty() {
        writeln!(text, "{name}{suffix} {value}")
    } else {
        writeln!(text, "{name}{suffix}{{{labels}}} {value}")
    };
}

impl Recorder for Registry {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.series.get_or_create_counter(key, |counter| Counter::from_arc(counter.clone()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.series.get_or_create_gauge(key, |gauge| Gauge::from_arc(gauge.clone()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.series.get_or_create_histogram(key, |histogram| Histogram::from_arc(histogram.clone()))
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, gauge, histogram};

    use super::*;

    fn counted() -> Registry {
        let registry = Registry::new(|_| &[0.5, 1.0]);
        metrics::with_local_recorder(&registry, || {
            metrics::describe_counter!("a_total", "What \"a\" is.");
            counter!("a_total", "region" => "eu", "of" => "x\"y").increment(3);
            counter!("a_total", "region" => "us").increment(1);
            gauge!("b").set(0.5);
            for value in [0.2, 0.7, 7.0] {
                histogram!("c", "region" => "eu").record(value);
            }
        });
        registry
    }

    #[test]
    fn everything_reads_as_prometheus_reads_it() {
        let text = counted().render();
        assert!(text.starts_with("# HELP a_total What \"a\" is.\n# TYPE a_total counter\na_total{region="), "{text}");
        for line in ["a_total{region=\"eu\",of=\"x\\\"y\"} 3\n", "a_total{region=\"us\"} 1\n"] {
            assert!(text.contains(line), "{text}");
        }
        let rest = "\n# TYPE b gauge\nb 0.5\n\n# TYPE c histogram\nc_bucket{region=\"eu\",le=\"0.5\"} 1\n\
                    c_bucket{region=\"eu\",le=\"1\"} 2\nc_bucket{region=\"eu\",le=\"+Inf\"} 3\nc_sum{region=\"eu\"} 7.9\n\
                    c_count{region=\"eu\"} 3\n\n";
        assert!(text.ends_with(rest), "{text}");
    }

    #[test]
    fn what_is_taken_out_is_gone_and_begins_anew() {
        let registry = counted();
        registry.upkeep();
        registry.retain(|key| key.labels().all(|label| label.value() != "eu"));
        let text = registry.render();
        assert!(!text.contains("eu") && text.contains("a_total{region=\"us\"} 1\n"), "{text}");
        metrics::with_local_recorder(&registry, || counter!("a_total", "region" => "eu").increment(1));
        assert!(registry.render().contains("a_total{region=\"eu\"} 1\n"));
    }
}
