//! The parts of the page: tables, lists, states, durations. They know no field of `/status`.

use maud::{Markup, Render, html};
use serde_json::Value;

/// How good a state is. A word and a sign always say it too, not only the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Not as it should be.
    Bad,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Warn => "▲",
            Self::Bad => "■",
        }
    }
}

/// A cell of a table.
pub(super) struct Cell(Markup);

impl Cell {
    /// A cell with anything that fits into a line. It is one element, so that a narrow page can set it beside its heading.
    pub(super) fn of(content: impl Render) -> Self {
        Self(html! { span { (content) } })
    }

    pub(super) fn plain(value: &Value) -> Self {
        Self::of(text(value))
    }

    pub(super) fn number(value: &Value) -> Self {
        Self::of(count(value.as_u64().unwrap_or_default()))
    }

    pub(super) fn code(content: &str) -> Self {
        Self(html! { span.code { (content) } })
    }

    pub(super) fn state(tone: Tone, word: &str) -> Self {
        Self(state(tone, word))
    }
}

/// A state: a sign, which screen readers skip, and the word.
pub(super) fn state(tone: Tone, word: &str) -> Markup {
    html! { span class={ "state " (tone.class()) } { span aria-hidden="true" { (tone.sign()) " " } (word) } }
}

/// A table of at most this many rows, and how many more there are: those left out here, and `beyond`. Without rows it is empty. A
/// heading that begins with `#` stands above numbers. On a narrow page each row becomes a block, and the roles stay.
pub(super) fn table(
    caption: &str,
    headings: &[&str],
    rows: impl IntoIterator<Item = Vec<Cell>>,
    most: usize,
    beyond: u64,
) -> Markup {
    let mut rows = rows.into_iter();
    let shown: Vec<Vec<Cell>> = rows.by_ref().take(most).collect();
    if shown.is_empty() {
        return html! {};
    }
    let more = u64::try_from(rows.count()).unwrap_or(u64::MAX).saturating_add(beyond);
    let plain = |heading: &&str| heading.trim_start_matches('#').to_owned();
    let class = |heading: &&str| heading.starts_with('#').then_some("number");
    html! {
        table role="table" {
            caption { (caption) }
            thead role="rowgroup" {
                tr role="row" {
                    @for heading in headings { th role="columnheader" scope="col" class=[class(heading)] { (plain(heading)) } }
                }
            }
            tbody role="rowgroup" {
                @for row in shown {
                    tr role="row" {
                        @for (heading, Cell(content)) in headings.iter().zip(row) {
                            td role="cell" class=[class(heading)] data-label=(plain(heading)) { (content) }
                        }
                    }
                }
            }
        }
        @if more > 0 { p.soft { "and " (count(more)) " more" } }
    }
}

/// The texts of an array, one in each line.
pub(super) fn list(values: &Value, most: usize) -> Markup {
    let more = rows(values).count().saturating_sub(most);
    html! {
        @for (at, value) in rows(values).take(most).enumerate() {
            @if at > 0 { br; }
            code { (text(value)) }
        }
        @if more > 0 { br; "and " (more) " more" }
        @if rows(values).next().is_none() { "–" }
    }
}

/// The elements of an array. Any other value has none.
pub(super) fn rows(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// A text or number; a dash for null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// A number with its thousands separated.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A narrow space that does not break (SI).
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Seconds in words: the two largest units.
pub(super) fn ago(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_u64() else { return "–".to_owned() };
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut words = Vec::new();
    for (length, unit) in units {
        if left >= length {
            words.push(format!("{}\u{a0}{unit}", left / length));
            left %= length;
        }
    }
    words.truncate(2);
    if words.is_empty() { "0\u{a0}s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_well() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")] {
            assert_eq!(count(number), shown);
        }
        for (seconds, shown) in [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3601, "1 h 1 s"), (93_784, "1 d 2 h")] {
            assert_eq!(ago(&seconds.into()).replace('\u{a0}', " "), shown);
        }
        assert_eq!(ago(&Value::Null), "–");
    }

    #[test]
    fn what_is_left_out_of_a_table_is_counted() {
        let rows = (0..10_u64).map(|at| vec![Cell::plain(&at.into())]);
        let table = table("Ten", &["#N"], rows, 4, 1000).into_string();
        assert_eq!(table.matches("<td").count(), 4);
        assert!(table.contains("and 1\u{202f}006 more"), "{table}");
        assert_eq!(super::table("None", &["N"], Vec::new(), 4, 0).into_string(), "");
    }
}
