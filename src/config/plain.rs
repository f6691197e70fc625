//! Reads the tables of one project if they are written as nearly all are: `[project.NAME]`, then `[project.NAME.trunk.TRUNK]`, with
//! strings and arrays of strings below. A file may hold a million of them, and the TOML reader takes five times as long.
//!
//! Whatever is written otherwise, or is wrong, is left to the TOML reader, which says what is wrong. What is read here is what the TOML
//! reader would have read.

use std::iter::Peekable;
use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::{Lexer, Token, TokenKind};

/// A key and its value, with the octets where each stands.
#[derive(Debug, PartialEq)]
pub(super) struct Entry<'t> {
    pub(super) key: &'t str,
    pub(super) key_span: Range<usize>,
    pub(super) value: Plain<'t>,
    pub(super) span: Range<usize>,
}

/// Texts, with the octets where each stands.
type Texts<'t> = Vec<(&'t str, Range<usize>)>;

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Plain<'t> {
    Text(&'t str),
    Texts(Texts<'t>),
    Table(Vec<Entry<'t>>),
}

/// The top of the tables of one project. `None`: the TOML reader must read them.
pub(super) fn read(text: &str) -> Option<Entry<'_>> {
    let mut reader = Reader { text, tokens: Source::new(text).lex().peekable() };
    let mut top: Option<[Key<'_>; 2]> = None;
    let mut trunks: Option<(Range<usize>, Vec<Entry<'_>>)> = None;
    let mut project = Vec::new();
    while let Some(head) = reader.header()? {
        let mut entries = Vec::with_capacity(4);
        while let Some(entry) = reader.entry()? {
            if entries.iter().any(|other: &Entry<'_>| other.key == entry.key) {
                return None;
            }
            entries.push(entry);
        }
        match (head.as_slice(), &mut top) {
            ([of, name], None) => {
                top = Some([of.clone(), name.clone()]);
                project = entries;
            }
            ([_, name, trunk, key], Some([_, (known, _)])) if name.0 == *known && trunk.0 == "trunk" => {
                let (_, all) = trunks.get_or_insert_with(|| (trunk.1.clone(), Vec::new()));
                if all.iter().any(|other: &Entry<'_>| other.key == key.0) {
                    return None;
                }
                all.push(table(key.clone(), entries));
            }
            _ => return None,
        }
    }
    if let Some((span, trunks)) = trunks {
        if project.iter().any(|entry| entry.key == "trunk") {
            return None;
        }
        project.push(table(("trunk", span), trunks));
    }
    let [of, name] = top?;
    Some(table(of, vec![table(name, project)]))
}

fn table<'t>((key, key_span): (&'t str, Range<usize>), entries: Vec<Entry<'t>>) -> Entry<'t> {
    Entry { key, span: key_span.clone(), key_span, value: Plain::Table(entries) }
}

type Key<'t> = (&'t str, Range<usize>);

struct Reader<'t> {
    text: &'t str,
    tokens: Peekable<Lexer<'t>>,
}

impl<'t> Reader<'t> {
    /// The keys of the next table's header, which ends its line. `Some(None)`: the text ends.
    #[expect(clippy::option_option, reason = "the outer one says whether it can be read here")]
    fn header(&mut self) -> Option<Option<Vec<Key<'t>>>> {
        self.lines()?;
        if self.take(TokenKind::Eof).is_some() {
            return Some(None);
        }
        self.take(TokenKind::LeftSquareBracket)?;
        self.spaces();
        let mut keys = Vec::with_capacity(4);
        loop {
            keys.push(self.key()?);
            if self.take(TokenKind::Dot).is_none() {
                break;
            }
        }
        self.spaces();
        self.take(TokenKind::RightSquareBracket)?;
        self.line_ends()?;
        Some(Some(keys))
    }

    /// The next key with its value. `Some(None)`: the table ends.
    #[expect(clippy::option_option, reason = "the outer one says whether it can be read here")]
    fn entry(&mut self) -> Option<Option<Entry<'t>>> {
        self.lines()?;
        if matches!(self.tokens.peek()?.kind(), TokenKind::Eof | TokenKind::LeftSquareBracket) {
            return Some(None);
        }
        let (key, key_span) = self.key()?;
        self.spaces();
        self.take(TokenKind::Equals)?;
        self.spaces();
        let (value, span) = if let Some(open) = self.take(TokenKind::LeftSquareBracket) {
            let (texts, end) = self.array()?;
            (Plain::Texts(texts), open.span().start()..end)
        } else {
            let (text, span) = self.string()?;
            (Plain::Text(text), span)
        };
        self.line_ends()?;
        Some(Some(Entry { key, key_span, value, span }))
    }

    /// The rest of an array, and where it ends.
    fn array(&mut self) -> Option<(Texts<'t>, usize)> {
        let mut texts = Vec::with_capacity(2);
        loop {
            self.lines()?;
            if let Some(close) = self.take(TokenKind::RightSquareBracket) {
                return Some((texts, close.span().end()));
            }
            texts.push(self.string()?);
            self.lines()?;
            if self.take(TokenKind::Comma).is_none() {
                return Some((texts, self.take(TokenKind::RightSquareBracket)?.span().end()));
            }
        }
    }

    /// A key without quotes.
    fn key(&mut self) -> Option<Key<'t>> {
        let token = self.take(TokenKind::Atom)?;
        let key = self.at(token)?;
        let bare = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        key.bytes().all(bare).then_some((key, token.span().start()..token.span().end()))
    }

    /// A text in quotes in which nothing stands for anything else.
    fn string(&mut self) -> Option<(&'t str, Range<usize>)> {
        let token = self.take(TokenKind::BasicString).or_else(|| self.take(TokenKind::LiteralString))?;
        let quoted = self.at(token)?;
        let quote = quoted.chars().next()?;
        let text = quoted.get(1..)?.strip_suffix(quote)?;
        let plain = |c: char| c != quote && c != '\\' && !c.is_control();
        text.chars().all(plain).then_some((text, token.span().start()..token.span().end()))
    }

    /// Blanks, comments and line ends. `None`: one of them is not right.
    fn lines(&mut self) -> Option<()> {
        while let Some(next) =
            self.tokens.next_if(|next| matches!(next.kind(), TokenKind::Whitespace | TokenKind::Newline | TokenKind::Comment))
        {
            self.is_right(next)?;
        }
        Some(())
    }

    /// The end of a line, or of the text, perhaps behind a comment.
    fn line_ends(&mut self) -> Option<()> {
        self.spaces();
        if let Some(comment) = self.take(TokenKind::Comment) {
            self.is_right(comment)?;
        }
        match self.tokens.peek()?.kind() {
            TokenKind::Eof => Some(()),
            _ => self.take(TokenKind::Newline).and_then(|line| self.is_right(line)),
        }
    }

    /// Whether a comment or a line end has no character that may not stand there.
    fn is_right(&self, token: Token) -> Option<()> {
        let text = self.at(token)?;
        let right = match token.kind() {
            TokenKind::Comment => text.chars().all(|c| c == '\t' || !c.is_control()),
            TokenKind::Newline => matches!(text, "\n" | "\r\n"),
            _ => true,
        };
        right.then_some(())
    }

    fn spaces(&mut self) {
        self.take(TokenKind::Whitespace);
    }

    fn take(&mut self, kind: TokenKind) -> Option<Token> {
        self.tokens.next_if(|next| next.kind() == kind)
    }

    fn at(&self, token: Token) -> Option<&'t str> {
        self.text.get(token.span().start()..token.span().end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_write_is_read_here_and_the_rest_is_not() {
        let plain = "[project.acme] # a customer\npin = [\"eu\", 'us',]\nmode = 'shadow'\n[ project.acme.trunk.a-1 ]\r\nnetworks = [\n  \"192.0.2.0/24\", # one\n]\n";
        let entry = read(plain).unwrap();
        let Plain::Table(projects) = &entry.value else { panic!("{entry:?}") };
        let Plain::Table(keys) = &projects[0].value else { panic!("{entry:?}") };
        assert_eq!((entry.key, projects[0].key), ("project", "acme"));
        assert_eq!(keys.iter().map(|entry| entry.key).collect::<Vec<_>>(), ["pin", "mode", "trunk"]);
        assert_eq!(&plain[keys[0].span.clone()], "[\"eu\", 'us',]");
        assert_eq!(&plain[keys[1].span.clone()], "'shadow'");
        for other in [
            "[project.a]\npin = [\"\\u0065u\"]\n",
            "[project.a]\npin = [\"eu\"]\npin = [\"eu\"]\n",
            "[project.a]\ntrunk.t.networks = [\"192.0.2.0/24\"]\n",
            "[project.a]\nx = 1\n",
            "[project.a]\n[project.a]\n",
            "[project.a]\n[project.a.trunk.t]\n[project.a.trunk.t]\n",
            "[project.a.trunk.t]\n[project.a]\n",
            "[project.\"a\"]\n",
            "[project.a]\nmode = \"\"\"shadow\"\"\"\n",
            "[project.a]\nmode = \"shadow\n",
            "[project.a]\nreject = { policy = 603, capacity = 503 }\n",
            "[project.a] mode = \"shadow\"\n",
            "[project.a]\npin = [\"eu\" \"us\"]\n",
        ] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
