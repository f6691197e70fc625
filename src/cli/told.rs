//! One decision of a running daemon in short lines, for `watch`, `status` and `explain`. Chooses words for JSON; asks nobody.

use serde_json::Value;

use super::color::{Colors, Tint};
use super::printable::plain;

/// Columns that a line fits into.
const COLUMNS: usize = 60;

/// The word for a verdict, coloured.
pub(super) fn verdict(verdict: &str, colors: Colors) -> String {
    match verdict {
        "accept" => colors.text(Tint::Green, "accepted"),
        "shadow" => colors.text(Tint::Yellow, "shadow  "),
        _ => colors.text(Tint::Red, "refused "),
    }
}

/// A decision: what, of whom, and why. Each line ends and fits into 60 columns, unless one word is longer.
pub(super) fn decision(decided: &Value, colors: Colors) -> String {
    let word = |key: &str| decided[key].as_str().map(|text| plain(text.as_bytes()));
    let number = |key: &str| decided[key].as_u64().map(|number| number.to_string());
    let at = word("timestamp").unwrap_or_default();
    let time = at.get(11..19).unwrap_or(&at).to_owned();
    let mut lines = Vec::new();
    let reason = [number("id"), word("reason")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let code = number("code").map_or_else(String::new, |code| format!(", told {code}"));
    lines.push(format!("{time} {} {reason}{code}", verdict(&word("verdict").unwrap_or_default(), colors)));
    let of: Vec<String> = ["region", "project", "trunk"].into_iter().filter_map(word).collect();
    let whence = [word("transport"), word("source")].into_iter().flatten().collect::<Vec<_>>().join(":");
    let mut fields = vec![of.join("/"), format!("from {whence}")];
    fields.extend(word("method").map(|method| [Some(method), word("uri")].into_iter().flatten().collect::<Vec<_>>().join(" ")));
    fields.extend(word("sent_to").map(|to| format!("to {to}")));
    fields.extend(word("call_id").map(|id| format!("Call-ID {id}")));
    fields.extend(word("why").map(|why| format!("why: {why}")));
    fields.extend(decided["id"].as_u64().and_then(hint).map(str::to_owned));
    fields.extend(decided["left_out"].as_u64().filter(|&count| count > 0).map(|count| format!("{count} left out before it")));
    for field in fields.iter().filter(|field| !field.is_empty()) {
        lines.extend(wrapped(field));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Where the operator looks if a refusal for this reason was not meant.
pub(super) fn hint(id: u64) -> Option<&'static str> {
    matches!(id, 140 | 141)
        .then_some("a carrier's media networks stand in `media` of its trunk, a server's in `networks` of the region")
}

/// A line that fits: what is too long goes on below, further in. Colours take no room.
pub(super) fn fitting(line: &str) -> String {
    broken_at(line, COLUMNS)
}

/// The same for this many columns.
pub(super) fn broken_at(line: &str, columns: usize) -> String {
    let width = |text: &str| {
        let mut in_colour = false;
        text.chars()
            .filter(|&c| {
                let colour = in_colour || c == '\u{1b}';
                in_colour = colour && c != 'm';
                !colour
            })
            .count()
    };
    let mut out = String::with_capacity(line.len());
    let mut room = 0;
    for (at, word) in line.split(' ').enumerate() {
        let wide = width(word);
        // Spaces that stand together are columns: they are no place to break at.
        if at > 0 && wide > 0 && room + 1 + wide > columns && !out.trim_end_matches(' ').is_empty() {
            out.push_str("\n           ");
            room = 11;
        } else if at > 0 {
            out.push(' ');
            room += 1;
        }
        out.push_str(word);
        room += wide;
    }
    out
}

/// A text in lines, indented.
fn wrapped(text: &str) -> Vec<String> {
    const INDENT: &str = "         ";
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && INDENT.len() + line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(format!("{INDENT}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{INDENT}{line}"));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_line_goes_on_below() {
        assert_eq!(fitting("  server   udp:127.0.0.1:5060 up for 3 s"), "  server   udp:127.0.0.1:5060 up for 3 s");
        assert_eq!(fitting(""), "");
        let long = format!("not ready: {}", ["listeners are not bound yet"; 3].join("; "));
        let text = fitting(&long);
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        let coloured = format!("\u{1b}[31m{}\u{1b}[0m end", "x".repeat(COLUMNS - 4));
        assert_eq!(fitting(&coloured), coloured);
    }

    #[test]
    fn a_decision_fits_into_sixty_columns_and_moves_no_cursor() {
        let decided = json!({
            "timestamp": "2026-11-16T10:58:03.114209Z", "verdict": "refuse", "id": 140, "reason": "foreign-media-offer", "region": "eu",
            "project": "acme", "trunk": "twilio-ie", "source": "54.171.127.193:5060", "transport": "udp", "method": "INVITE",
            "call_id": "a\u{1b}[2J", "uri": "sip:+493…@acme.eu.sip.example.com", "code": 603,
            "why": "SDP c= address 127.0.50.1 is outside the networks of region eu and of the trunk", "left_out": 7
        });
        let text = decision(&decided, Colors::on(false));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.starts_with("10:58:03 refused  140 foreign-media-offer, told 603\n         eu/acme/twilio-ie\n"), "{text}");
        assert!(text.contains("why: SDP c= address 127.0.50.1 is outside") && text.contains("7 left out before it"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
