//! Reads one TOML table key by key. A key that nobody asks for is unknown, and reported.
//!
//! Knows types and places, but not what keys mean.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Place, Placed, Read, Report, Reported, Wrong};
use super::spelling::nearest;
use super::value;

/// A table being read.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// The place of its name. A missing key is reported there.
    pub(super) place: Place,
    file: usize,
    name: String,
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
}

#[derive(Debug)]
struct Entry<'a> {
    key: &'a str,
    place: Place,
    value: &'a Spanned<DeValue<'a>>,
    taken: bool,
}

/// A value of a table.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    key: &'a str,
    content: &'a DeValue<'a>,
    place: Place,
    key_place: Place,
    /// The table's name and the key, as in `region.eu`.
    path: String,
}

impl<'a> Table<'a> {
    /// The top of a file.
    pub(super) fn top(file: usize, table: &'a DeTable<'a>) -> Self {
        Self::open(Place { file, span: Some(0..0) }, String::new(), table)
    }

    fn open(place: Place, name: String, table: &'a DeTable<'a>) -> Self {
        let file = place.file;
        let mut entries: Vec<Entry<'_>> = table
            .iter()
            .map(|(key, value)| {
                let place = Place { file, span: Some(key.span()) };
                Entry { key: key.get_ref(), place, value, taken: false }
            })
            .collect();
        entries.sort_by_key(|entry| entry.place.span.as_ref().map(|span| span.start));
        Self { place, file, name, entries, known: Vec::new() }
    }

    /// Takes out the value of a key. The key then counts as known.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        self.take_at(at)
    }

    /// Takes out all values, with any key.
    pub(super) fn take_all(&mut self) -> Vec<Value<'a>> {
        (0..self.entries.len()).filter_map(|at| self.take_at(at)).collect()
    }

    fn take_at(&mut self, at: usize) -> Option<Value<'a>> {
        let (file, path) = (self.file, self.name.as_str());
        let entry = self.entries.get_mut(at)?;
        entry.taken = true;
        Some(Value {
            key: entry.key,
            content: entry.value.get_ref(),
            place: Place { file, span: Some(entry.value.span()) },
            key_place: entry.place.clone(),
            path: if path.is_empty() { entry.key.to_owned() } else { format!("{path}.{}", entry.key) },
        })
    }

    /// A key that is planned but does nothing yet: refused, never ignored.
    pub(super) fn later(&mut self, key: &'static str, report: &mut Report) {
        if let Some(at) = self.entries.iter().position(|entry| entry.key == key)
            && let Some(value) = self.take_at(at)
        {
            report.mistake(&value.key_place, format!("`{}` is not supported yet", value.path), "leave it out");
        }
    }

    /// Reports every key that was not asked for.
    pub(super) fn close(self, report: &mut Report) {
        let place = if self.name.is_empty() { "at the top of the file".to_owned() } else { format!("in [{}]", self.name) };
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let right = match nearest(entry.key, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if self.known.is_empty() => "leave it out".to_owned(),
                None => format!("known keys: {}", self.known.join(", ")),
            };
            report.mistake(&entry.place, format!("unknown key `{}` {place}", entry.key), right);
        }
    }
}

impl<'a> Value<'a> {
    /// The key, with its place.
    pub(super) fn key(&self) -> Placed<String> {
        Placed { value: self.key.to_owned(), place: self.key_place.clone() }
    }

    /// Where the value stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        self.content.is_table()
    }

    /// Reads it as a table.
    pub(super) fn table(&self, report: &mut Report) -> Result<Table<'a>, Reported> {
        match self.content.as_table() {
            Some(table) => Ok(Table::open(self.key_place.clone(), self.path.clone(), table)),
            None => Err(self.not("a table", &format!("[{}] with keys below it", self.path), report)),
        }
    }

    /// Reads it as a string that `read` understands.
    pub(super) fn string<T>(&self, report: &mut Report, read: impl Fn(&str) -> Result<T, Wrong>) -> Result<Placed<T>, Reported> {
        let Some(text) = self.content.as_str() else {
            let right = read("").map_or_else(|wrong| wrong.right, |_| "a text in quotes".to_owned());
            return Err(self.not("a string", &right, report));
        };
        understood(text, &self.place, report, read)
    }

    /// Reads it as an array of strings that `read` understands.
    pub(super) fn strings<T>(
        &self,
        report: &mut Report,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<Vec<Placed<T>>, Reported> {
        let Some(array) = self.content.as_array() else {
            return Err(self.not("an array of strings", &format!("{} = [\"…\", \"…\"]", self.key), report));
        };
        let (mut out, mut bad) = (Vec::new(), None);
        for element in &**array {
            let place = Place { file: self.place.file, span: Some(element.span()) };
            let value = match element.get_ref().as_str() {
                Some(text) => understood(text, &place, report, &read),
                None => Err(self.element(element.get_ref(), &place, report)),
            };
            match value {
                Ok(value) => out.push(value),
                Err(reported) => bad = Some(reported),
            }
        }
        bad.map_or(Ok(out), Err)
    }

    /// Reads it as one string or an array of strings that `read` understands.
    pub(super) fn one_or_more<T>(
        &self,
        report: &mut Report,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<Vec<Placed<T>>, Reported> {
        if self.content.is_array() { self.strings(report, read) } else { self.string(report, read).map(|one| vec![one]) }
    }

    /// Reads it as a whole number within bounds.
    pub(super) fn number(&self, report: &mut Report, bounds: RangeInclusive<u64>) -> Result<Placed<u64>, Reported> {
        let right = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let Some(integer) = self.content.as_integer() else { return Err(self.not("a number", &right, report)) };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) if bounds.contains(&value) => Ok(Placed { value, place: self.place.clone() }),
            _ => Err(report.mistake(&self.place, format!("`{}` is out of bounds", self.path), right)),
        }
    }

    /// Reads it as octets: a whole number, or a string with a unit.
    pub(super) fn size(&self, report: &mut Report) -> Result<Placed<u64>, Reported> {
        if self.content.is_integer() { self.number(report, 0..=u64::MAX) } else { self.string(report, value::size) }
    }

    fn not(&self, expected: &str, right: &str, report: &mut Report) -> Reported {
        // The span of a table's value says nothing; its key does.
        let place = if self.content.is_table() { &self.key_place } else { &self.place };
        report.mistake(place, format!("`{}` must be {expected}, not {}", self.path, kind(self.content)), right)
    }

    fn element(&self, element: &DeValue<'_>, place: &Place, report: &mut Report) -> Reported {
        report.mistake(place, format!("`{}` must hold strings, not {}", self.path, kind(element)), "a text in quotes")
    }
}

fn understood<T>(
    text: &str,
    place: &Place,
    report: &mut Report,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<Placed<T>, Reported> {
    match read(text) {
        Ok(value) => Ok(Placed { value, place: place.clone() }),
        Err(Wrong { wrong, right }) => Err(report.mistake(place, wrong, right)),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Turns "maybe a value" and "a value or a report" around, so that absence stays visible.
pub(super) fn optional<T>(value: Option<Result<T, Reported>>) -> Read<T> {
    value.transpose()
}
