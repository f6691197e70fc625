//! Colour, only on a terminal.

use std::fmt;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colors {
    on: bool,
}

/// A colour or weight (ECMA-48 SGR parameters).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tint {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Colors {
    /// Colours on a terminal, unless the environment asks for none (`NO_COLOR` set to anything).
    pub(crate) fn on(terminal: bool) -> Self {
        Self { on: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// The text in a colour.
    pub(crate) fn text<T: fmt::Display>(self, tint: Tint, text: T) -> String {
        let code = match tint {
            Tint::Bold => "1",
            Tint::Dim => "2",
            Tint::Red => "31",
            Tint::Green => "32",
            Tint::Yellow => "33",
            Tint::Cyan => "36",
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}
