//! What an expression of `PromQL` names. Whether it is one at all is for Prometheus to say: `tests/outside/interop/watching.rs`.

/// Words of `PromQL` that a series cannot be called here.
const WORDS: [&str; 21] = [
    "abs",
    "and",
    "avg",
    "bool",
    "clamp_max",
    "count",
    "group_left",
    "histogram_quantile",
    "ignoring",
    "increase",
    "max",
    "min",
    "offset",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
    "vector",
];

/// One series that is asked for, with the matchers on its labels.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<(String, String)>,
}

/// Everything that an expression names.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) selectors: Vec<Selector>,
    /// The labels in every `by`.
    pub(crate) by: Vec<String>,
}

impl Query {
    /// Reads an expression; panics at what it does not know.
    pub(crate) fn read(expr: &str) -> Self {
        let mut query = Self::default();
        let mut rest = expr;
        while let Some(first) = rest.chars().next() {
            if first == '[' {
                rest = rest.split_once(']').unwrap().1;
            } else if first.is_ascii_digit() {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            } else if first.is_ascii_alphabetic() {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                rest = query.word(word, tail);
            } else {
                assert!(" ()+-*/<>=!,".contains(first), "{first} in {expr}");
                rest = &rest[first.len_utf8()..];
            }
        }
        query
    }

    fn word<'t>(&mut self, word: &str, tail: &'t str) -> &'t str {
        if word == "by" {
            let (list, tail) = tail.trim_start().strip_prefix('(').unwrap().split_once(')').unwrap();
            self.by.extend(list.split(',').map(|label| label.trim().to_owned()));
            return tail;
        }
        if WORDS.contains(&word) {
            // The labels after `on` and the like are those of its `by`.
            let lists = ["on", "ignoring", "group_left"].contains(&word);
            return if lists { tail.split_once(')').unwrap().1 } else { tail };
        }
        let (list, tail) = tail.strip_prefix('{').map_or(("", tail), |inside| inside.split_once('}').unwrap());
        let matcher = |text: &str| {
            let (label, value) = text.split_once('"').unwrap();
            (label.trim_matches([' ', '=', '!', '~']).to_owned(), value.trim_end_matches('"').to_owned())
        };
        let matchers = list.split(", ").filter(|part| !part.is_empty()).map(matcher);
        self.selectors.push(Selector { name: word.to_owned(), matchers: matchers.collect() });
        tail
    }
}

#[test]
fn what_is_named_is_found() {
    let query = Query::read("max by (region, le) (rate(a_b:c{x=\"1\", y!~\"$z\"}[5m])) > 0.5 or 4 * (d offset 1h)");
    let found: Vec<_> = query.selectors.iter().map(|selector| (selector.name.as_str(), selector.matchers.len())).collect();
    assert_eq!(found, [("a_b:c", 2), ("d", 0)]);
    assert_eq!(query.selectors[0].matchers[1], ("y".to_owned(), "$z".to_owned()));
    assert_eq!(query.by, ["region", "le"]);
}
