//! Reads one TOML table key by key. A key that nobody asks for is unknown, and reported.
//!
//! Knows types and places, but not what keys mean.

use std::ops::{Range, RangeInclusive};

use smallvec::SmallVec;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::plain::{self, Plain};
use super::report::{Place, Placed, Read, Report, Reported, Wrong};
use super::spelling::nearest;
use super::text::Origin;
use super::value;

/// A table being read.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// The place of its name. A missing key is reported there.
    pub(super) place: Place,
    origin: Origin<'a>,
    name: Path<'a>,
    entries: Vec<Entry<'a>>,
    known: SmallVec<[&'static str; 16]>,
}

/// The keys that lead to a table or a value, as in `region.eu`.
type Path<'a> = SmallVec<[&'a str; 6]>;

#[derive(Debug)]
struct Entry<'a> {
    key: &'a str,
    key_span: Range<usize>,
    content: Content<'a>,
    span: Range<usize>,
    taken: bool,
}

/// What a value holds, as it was read.
#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Toml(&'a DeValue<'a>),
    Plain(&'a Plain<'a>),
}

/// A value of a table.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    key: &'a str,
    content: Content<'a>,
    origin: Origin<'a>,
    place: Place,
    key_place: Place,
    /// Where its table stands; the key comes behind.
    table: Path<'a>,
}

impl<'a> Content<'a> {
    fn is_table(self) -> bool {
        matches!(self, Self::Toml(DeValue::Table(_)) | Self::Plain(Plain::Table(_)))
    }

    fn is_array(self) -> bool {
        matches!(self, Self::Toml(DeValue::Array(_)) | Self::Plain(Plain::Texts(_)))
    }

    fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Toml(value) => value.as_str(),
            Self::Plain(Plain::Text(text)) => Some(text),
            Self::Plain(_) => None,
        }
    }

    fn as_toml(self) -> Option<&'a DeValue<'a>> {
        match self {
            Self::Toml(value) => Some(value),
            Self::Plain(_) => None,
        }
    }

    /// The elements of an array: the text of each, or what it is instead.
    fn elements(self) -> Option<Elements<'a>> {
        match self {
            Self::Toml(DeValue::Array(array)) => Some(Elements::Toml(array.iter())),
            Self::Plain(Plain::Texts(texts)) => Some(Elements::Plain(texts.iter())),
            _ => None,
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Toml(value) => kind(value),
            Self::Plain(Plain::Text(_)) => "a string",
            Self::Plain(Plain::Texts(_)) => "an array",
            Self::Plain(Plain::Table(_)) => "a table",
        }
    }
}

enum Elements<'a> {
    Toml(std::slice::Iter<'a, Spanned<DeValue<'a>>>),
    Plain(std::slice::Iter<'a, (&'a str, Range<usize>)>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = (Result<&'a str, &'static str>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Toml(array) => {
                let element = array.next()?;
                let value = element.get_ref();
                Some((value.as_str().ok_or_else(|| kind(value)), element.span()))
            }
            Self::Plain(texts) => texts.next().map(|(text, span)| (Ok(*text), span.clone())),
        }
    }
}

impl<'a> Table<'a> {
    /// The top of a file.
    pub(super) fn top(origin: Origin<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(Place { file: origin.file, span: Some(0..0) }, origin, Path::new(), toml_entries(table))
    }

    /// The top of one project's tables.
    pub(super) fn plain(origin: Origin<'a>, entry: &'a plain::Entry<'a>) -> Self {
        let place = Place { file: origin.file, span: Some(0..0) };
        Self::new(place, origin, Path::new(), plain_entries(std::slice::from_ref(entry)))
    }

    fn new(place: Place, origin: Origin<'a>, name: Path<'a>, mut entries: Vec<Entry<'a>>) -> Self {
        entries.sort_by_key(|entry| entry.key_span.start);
        Self { place, origin, name, entries, known: SmallVec::new() }
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
        let origin = self.origin;
        let entry = self.entries.get_mut(at)?;
        entry.taken = true;
        Some(Value {
            key: entry.key,
            content: entry.content,
            origin,
            place: origin.place(entry.span.clone()),
            key_place: origin.place(entry.key_span.clone()),
            table: self.name.clone(),
        })
    }

    /// A key that is planned but does nothing yet: refused, never ignored.
    pub(super) fn later(&mut self, key: &'static str, report: &mut Report) {
        if let Some(at) = self.entries.iter().position(|entry| entry.key == key)
            && let Some(value) = self.take_at(at)
        {
            report.mistake(&value.key_place, format!("`{}` is not supported yet", value.path()), "leave it out");
        }
    }

    /// Reports every key that was not asked for.
    pub(super) fn close(self, report: &mut Report) {
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let right = match nearest(entry.key, self.known.iter().copied()) {
                _ if !self.name.is_empty() && TOP.contains(&entry.key) => {
                    format!("`{}` belongs at the top of the file, before the first [table]", entry.key)
                }
                Some(known) => format!("did you mean `{known}`?"),
                None if self.known.is_empty() => "leave it out".to_owned(),
                None => format!("known keys: {}", self.known.join(", ")),
            };
            let at = self.origin.place(entry.key_span.clone());
            let place =
                if self.name.is_empty() { "at the top of the file".to_owned() } else { format!("in [{}]", self.name.join(".")) };
            report.mistake(&at, format!("unknown key `{}` {place}", entry.key), right);
        }
    }
}

/// Keys that are no tables and stand at the top of the main file: whoever writes one behind a table's head has written it into that table.
const TOP: [&str; 5] = ["serve", "global", "include", "reject", "emergency"];

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
        let entries = match self.content {
            Content::Toml(DeValue::Table(table)) => toml_entries(table),
            Content::Plain(Plain::Table(entries)) => plain_entries(entries),
            _ => return Err(self.not("a table", &format!("[{}] with keys below it", self.path()), report)),
        };
        let mut name = self.table.clone();
        name.push(self.key);
        Ok(Table::new(self.key_place.clone(), self.origin, name, entries))
    }

    /// The table's name and the key, as in `region.eu`.
    fn path(&self) -> String {
        self.table.iter().chain([&self.key]).copied().collect::<Vec<_>>().join(".")
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
        let Some(elements) = self.content.elements() else {
            return Err(self.not("an array of strings", &format!("{} = [\"…\", \"…\"]", self.key), report));
        };
        let (mut out, mut bad) = (Vec::new(), None);
        for (element, span) in elements {
            let place = self.origin.place(span);
            let value = match element {
                Ok(text) => understood(text, &place, report, &read),
                Err(kind) => {
                    let wrong = format!("`{}` must hold strings, not {kind}", self.path());
                    Err(report.mistake(&place, wrong, "a text in quotes"))
                }
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

    /// Reads it as an array of whole numbers within bounds.
    pub(super) fn numbers(&self, report: &mut Report, bounds: RangeInclusive<u64>) -> Result<Vec<Placed<u64>>, Reported> {
        let right = format!("whole numbers from {} to {}", bounds.start(), bounds.end());
        let Some(array) = self.content.as_toml().and_then(DeValue::as_array) else {
            return Err(self.not("an array of numbers", &format!("{} = [500, 502]", self.key), report));
        };
        let (mut out, mut bad) = (Vec::new(), None);
        for element in array {
            let place = self.origin.place(element.span());
            let integer = element.get_ref().as_integer().and_then(|of| u64::from_str_radix(of.as_str(), of.radix()).ok());
            match integer.filter(|value| bounds.contains(value)) {
                Some(value) => out.push(Placed { value, place }),
                None => bad = Some(report.mistake(&place, format!("`{}` must hold {right}", self.path()), right.clone())),
            }
        }
        bad.map_or(Ok(out), Err)
    }

    /// Reads it as a whole number within bounds.
    pub(super) fn number(&self, report: &mut Report, bounds: RangeInclusive<u64>) -> Result<Placed<u64>, Reported> {
        let right = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let Some(integer) = self.content.as_toml().and_then(DeValue::as_integer) else {
            return Err(self.not("a number", &right, report));
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) if bounds.contains(&value) => Ok(Placed { value, place: self.place.clone() }),
            _ => Err(report.mistake(&self.place, format!("`{}` is out of bounds", self.path()), right)),
        }
    }

    /// Reads it as octets: a whole number, or a string with a unit.
    pub(super) fn size(&self, report: &mut Report) -> Result<Placed<u64>, Reported> {
        if self.content.as_toml().is_some_and(DeValue::is_integer) {
            self.number(report, 0..=u64::MAX)
        } else {
            self.string(report, value::size)
        }
    }

    fn not(&self, expected: &str, right: &str, report: &mut Report) -> Reported {
        // The span of a table's value says nothing; its key does.
        let place = if self.content.is_table() { &self.key_place } else { &self.place };
        report.mistake(place, format!("`{}` must be {expected}, not {}", self.path(), self.content.kind()), right)
    }
}

fn toml_entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
        let key: &'a Spanned<std::borrow::Cow<'a, str>> = key;
        Entry {
            key: key.get_ref(),
            key_span: key.span(),
            content: Content::Toml(value.get_ref()),
            span: value.span(),
            taken: false,
        }
    };
    table.iter().map(entry).collect()
}

fn plain_entries<'a>(entries: &'a [plain::Entry<'a>]) -> Vec<Entry<'a>> {
    let entry = |entry: &'a plain::Entry<'a>| Entry {
        key: entry.key,
        key_span: entry.key_span.clone(),
        content: Content::Plain(&entry.value),
        span: entry.span.clone(),
        taken: false,
    };
    entries.iter().map(entry).collect()
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

const fn kind(value: &DeValue<'_>) -> &'static str {
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
