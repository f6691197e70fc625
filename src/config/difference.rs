//! What differs between two configurations, in words. Compares; changes nothing and prints nothing.
//!
//! Things are compared one by one, so that two configurations with many projects cost memory for what differs alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::consequences::{self, Consequence};
use super::fields::{self, Fields, Said};
use super::{Config, ProjectId, Region, TrunkId};

/// The kind of a thing, in the order in which kinds are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Setting,
    Region,
    Project,
    Trunk,
}

impl Kind {
    /// The word in the text and in JSON.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Region => "region",
            Self::Project => "project",
            Self::Trunk => "trunk",
        }
    }
}

/// One field that differs.
#[derive(Debug)]
pub(crate) struct ChangedField {
    pub(crate) field: &'static str,
    pub(crate) old: Said,
    pub(crate) new: Said,
}

/// What became of one thing.
#[derive(Debug)]
pub(crate) enum Difference {
    Added,
    Removed,
    Changed(Vec<ChangedField>),
}

impl Difference {
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed(_) => "changed",
        }
    }
}

/// The differences between two configurations, sorted by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) all: BTreeMap<(Kind, String), Difference>,
    /// Most that are listed.
    most: usize,
    /// How many were added, removed and changed, those that are not listed too.
    counts: [usize; 3],
    /// What that means for calls.
    pub(crate) consequences: Vec<Consequence>,
}

impl Differences {
    /// Compares them. At most `most` things are listed; all are counted.
    pub(crate) fn between(old: &Config, new: &Config, most: usize) -> Self {
        let mut found = Self { most, ..Self::default() };
        let setting = |value: String| vec![("value", Said::One(value))];
        let mut before: HashMap<&str, String> = fields::settings(old).into_iter().collect();
        for (name, value) in fields::settings(new) {
            let was = before.remove(name).map(setting);
            found.thing(Kind::Setting, || name.to_owned(), was, Some(setting(value)));
        }
        found.regions(old, new);
        found.projects(old, new);
        found.trunks(old, new);
        if !found.is_empty() {
            found.consequences = consequences::between(old, new, most);
        }
        found
    }

    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts == [0; 3]
    }

    /// How many were added, removed and changed.
    pub(crate) fn sum(&self) -> String {
        let [added, removed, changed] = self.counts;
        format!("{added} added, {removed} removed, {changed} changed")
    }

    /// The differences, a line for each thing and one below it for each field, what they mean for calls, and the sum.
    pub(crate) fn lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["nothing".to_owned()];
        }
        let mut lines = Vec::new();
        for ((kind, name), difference) in &self.all {
            lines.push(format!("{:<7} {} {name}", difference.label(), kind.label()));
            if let Difference::Changed(fields) = difference {
                lines.extend(fields.iter().map(|field| format!("        {}", field.line())));
            }
        }
        let left_out = self.counts.iter().sum::<usize>().saturating_sub(self.all.len());
        if left_out > 0 {
            lines.push(format!("… and {left_out} more"));
        }
        lines.extend(self.consequences.iter().map(|of| format!("→ {}", of.text)));
        lines.push(self.sum());
        lines
    }

    fn regions(&mut self, old: &Config, new: &Config) {
        // Those that are only leaving are in no file.
        let in_file = |region: &&Region| !region.leaving;
        let mut before: HashMap<&str, &Region> = old.regions.iter().filter(in_file).map(|of| (of.name.as_str(), of)).collect();
        for region in new.regions.iter().filter(in_file) {
            let was = before.remove(region.name.as_str()).map(|was| fields::region(old, was));
            self.thing(Kind::Region, || region.name.clone(), was, Some(fields::region(new, region)));
        }
        for region in before.into_values() {
            self.thing(Kind::Region, || region.name.clone(), Some(fields::region(old, region)), None);
        }
    }

    fn projects(&mut self, old: &Config, new: &Config) {
        let ids = (0..).map(ProjectId);
        let mut before: HashMap<&str, ProjectId> = old.projects.iter().map(|of| &*of.name).zip(ids).collect();
        for (project, id) in new.projects.iter().zip((0..).map(ProjectId)) {
            let was = before.remove(&*project.name).map(|id| fields::project(old, id));
            self.thing(Kind::Project, || project.name.to_string(), was, Some(fields::project(new, id)));
        }
        for (name, id) in before {
            self.thing(Kind::Project, || name.to_owned(), Some(fields::project(old, id)), None);
        }
    }

    fn trunks(&mut self, old: &Config, new: &Config) {
        let key = |config: &'_ Config, id: TrunkId| {
            let trunk = config.trunk(id);
            format!("{} of {}", trunk.name, config.project(trunk.project).name)
        };
        let ids = || (0..).map(TrunkId);
        let named = ids().zip(&old.trunks).map(|(id, trunk)| ((&*old.project(trunk.project).name, &*trunk.name), id));
        let mut before: HashMap<(&str, &str), TrunkId> = named.collect();
        for (id, trunk) in ids().zip(&new.trunks) {
            let was = before.remove(&(&*new.project(trunk.project).name, &*trunk.name));
            let was = was.map(|id| fields::trunk(old, old.trunk(id)));
            self.thing(Kind::Trunk, || key(new, id), was, Some(fields::trunk(new, trunk)));
        }
        for id in before.into_values() {
            self.thing(Kind::Trunk, || key(old, id), Some(fields::trunk(old, old.trunk(id))), None);
        }
    }

    /// Takes in one thing, as it was and as it is.
    fn thing(&mut self, kind: Kind, name: impl FnOnce() -> String, old: Option<Fields>, new: Option<Fields>) {
        let (at, difference) = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => (0, Difference::Added),
            (Some(_), None) => (1, Difference::Removed),
            (Some(old), Some(new)) => {
                if old == new {
                    return;
                }
                let both = old.into_iter().zip(new).filter(|((_, old), (_, new))| old != new);
                (2, Difference::Changed(both.map(|((field, old), (_, new))| ChangedField { field, old, new }).collect()))
            }
        };
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        if self.all.len() < self.most {
            self.all.insert((kind, name()), difference);
        }
    }
}

impl ChangedField {
    /// The field with its old and new value, or with what went and came where order does not matter.
    pub(crate) fn line(&self) -> String {
        let Self { field, old, new } = self;
        match (old, new) {
            (Said::Set(old), Said::Set(new)) => {
                let mut line = format!("{field}:");
                for (sign, one, other) in [('-', old, new), ('+', new, old)] {
                    for value in one.difference(other) {
                        // Writing to a string cannot fail.
                        let _ = write!(line, " {sign}{value}");
                    }
                }
                line
            }
            (old, new) => format!("{field}: {} → {}", old.one(), new.one()),
        }
    }
}
