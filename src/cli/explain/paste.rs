//! Finds the message in a pasted text: as it was on the wire, or in a log, an e-mail, or the text of a packet capture.
//!
//! A complete message stays as it is, with its mistakes. Otherwise every repair is reported. Does not judge the message.

#[cfg(test)]
mod tests;

/// A message, and the repairs that were needed to find it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pasted {
    pub(super) bytes: Vec<u8>,
    /// The repairs, for a person to read.
    pub(super) repairs: Vec<String>,
}

/// Method names. Junk may stand directly in front of one, as `tcpdump -A` prints it.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "OPTIONS",
    "REGISTER",
    "PUBLISH",
];

/// The message in a text. `None`: the text has no start line.
pub(super) fn pasted(input: &[u8]) -> Option<Pasted> {
    whole(input).or_else(|| out_of_text(input))
}

/// A message as it was on the wire: it begins with a start line, its head has only CRLF, and an empty line follows the head.
fn whole(input: &[u8]) -> Option<Pasted> {
    let end = find(input, b"\r\n\r\n")?;
    let head = input.get(..end)?;
    let rows = head.split(|&octet| octet == b'\n').count();
    let is_whole = find(head, b"\r\n").unwrap_or(end) > 0 && head.windows(2).filter(|pair| pair == b"\r\n").count() + 1 == rows;
    let first = head.split(|&octet| octet == b'\r').next()?;
    if !is_whole || start_in(first) != Some(0) {
        return None;
    }
    let mut repairs = Vec::new();
    let mut bytes = input.to_vec();
    let stated = head.split(|&octet| octet == b'\n').find_map(content_length);
    if let Some(length) = stated.and_then(|length| end.checked_add(length)?.checked_add(4)).filter(|&length| length < input.len())
    {
        bytes.truncate(length);
        repairs.push(format!("left out what follows the message: {} octets", input.len() - length));
    }
    Some(Pasted { bytes, repairs })
}

fn out_of_text(input: &[u8]) -> Option<Pasted> {
    let mut repairs = Vec::new();
    let unterminated = |line: &'_ [u8]| line.last() != Some(&b'\r');
    let mut lines = input.strip_suffix(b"\n").unwrap_or(input).split(|&octet| octet == b'\n');
    let mut before = 0;
    let (start, at) = loop {
        let line = lines.next()?;
        match start_in(line.trim_ascii_end()) {
            Some(at) => break (line, at),
            None => before += line.len() + 1,
        }
    };
    if before > 0 {
        repairs.push(format!("left out what precedes the start line: {before} octets"));
    }
    let lf = unterminated(start);
    let (prefix, start) = start.split_at_checked(at)?;
    let rest: Vec<&[u8]> = lines.map(<[u8]>::trim_ascii_end).collect();
    let cut = Cut::of(prefix, rest.first().copied().unwrap_or_default());
    match cut {
        Cut::Nothing if prefix.is_empty() => {}
        Cut::Nothing => repairs.push("left out what stands in front of the start line".to_owned()),
        Cut::Indentation(_) => repairs.push("removed the indentation".to_owned()),
        Cut::Columns(width) => repairs.push(format!("left out the first {width} octets of each line")),
    }
    let mut rows: Vec<&[u8]> = vec![start.trim_ascii_end()];
    let mut rest = rest.into_iter().map(|line| cut.apply(line)).peekable();
    let mut closed = false;
    while let Some(line) = rest.next_if(|line| is_empty(line) || is_row(line)) {
        if is_empty(line) {
            closed = true;
            break;
        }
        rows.push(line);
    }
    // ngrep prints the CR of each line as a dot.
    if rows.iter().all(|row| row.ends_with(b".")) {
        repairs.push("removed the dots at the ends of the lines".to_owned());
        rows = rows.into_iter().map(|row| row.strip_suffix(b".").unwrap_or(row)).collect();
    }
    if lf {
        repairs.push("ended the lines with CRLF".to_owned());
    }
    if !closed {
        repairs.push("added the empty line after the headers".to_owned());
    }
    let after: Vec<&[u8]> = rest.collect();
    let (body, left) = if closed { body(&rows, &after) } else { (Vec::new(), after.iter().any(|line| !is_empty(line))) };
    if left {
        repairs.push("left out what follows the message".to_owned());
    }
    let mut bytes = Vec::new();
    for row in &rows {
        match content_length(row).filter(|&stated| stated != body.len()) {
            Some(stated) => {
                repairs.push(format!("Content-Length was {stated}, and the body has {} octets", body.len()));
                bytes.extend_from_slice(format!("Content-Length: {}", body.len()).as_bytes());
            }
            None => bytes.extend_from_slice(row),
        }
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    Some(Pasted { bytes, repairs })
}

/// The text in front of every line, which is cut off.
#[derive(Clone, Copy)]
enum Cut<'t> {
    Nothing,
    /// This white space.
    Indentation(&'t [u8]),
    /// This many octets: the timestamps of a log.
    Columns(usize),
}

impl<'t> Cut<'t> {
    /// Finds it from the text in front of the start line, and from the next line.
    fn of(prefix: &'t [u8], next: &[u8]) -> Self {
        if prefix.is_empty() {
            return Self::Nothing;
        }
        if is_empty(prefix) {
            return Self::Indentation(prefix);
        }
        let behind = next.get(prefix.len()..).unwrap_or_default();
        if !is_header(next) && is_header(behind) { Self::Columns(prefix.len()) } else { Self::Nothing }
    }

    fn apply(self, line: &[u8]) -> &[u8] {
        match self {
            Self::Nothing => line,
            Self::Indentation(prefix) => line.strip_prefix(prefix).unwrap_or(line),
            Self::Columns(width) => line.get(width..).unwrap_or_default(),
        }
    }
}

/// The body in the lines after the head, and whether other text follows it.
fn body(rows: &[&[u8]], after: &[&[u8]]) -> (Vec<u8>, bool) {
    let stated = rows.iter().find_map(|row| content_length(row));
    let kind = rows.iter().find_map(|row| value(row, b"content-type", b"c"));
    let is_sdp = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"application/sdp"));
    let undotted = |line: &'_ [u8]| line.strip_suffix(b".").unwrap_or(line).len();
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut taken = 0;
    if is_sdp {
        taken = after
            .iter()
            .take_while(|line| line.first().is_some_and(u8::is_ascii_lowercase) && line.get(1) == Some(&b'='))
            .count();
        lines.extend(after.iter().take(taken));
        if lines.iter().all(|line| line.ends_with(b".")) {
            lines = lines.into_iter().map(|line| line.get(..undotted(line)).unwrap_or(line)).collect();
        }
    } else if kind.is_some() && stated != Some(0) {
        taken = after.iter().rposition(|line| !is_empty(line)).map_or(0, |last| last + 1);
        lines.extend(after.iter().take(taken));
    }
    let mut left = after.iter().skip(taken).any(|line| !is_empty(line));
    let mut body: Vec<u8> = lines.iter().flat_map(|line| [line, b"\r\n".as_slice()].concat()).collect();
    if let Some(stated) = stated {
        // The last line may have had no line end. A body that is no SDP ends at its Content-Length.
        if stated + 2 == body.len() {
            body.truncate(stated);
        } else if !is_sdp && stated < body.len() {
            left |= body.get(stated..).is_some_and(|rest| !is_empty(rest));
            body.truncate(stated);
        }
    }
    (body, left)
}

/// The position in a line at which a start line begins (RFC 3261 7.1, 7.2).
fn start_in(line: &[u8]) -> Option<usize> {
    let version = find(line, b"SIP/2.0")?;
    let behind = line.get(version + 7..)?;
    if let [b' ', a, b, c, ..] = behind
        && [a, b, c].into_iter().all(u8::is_ascii_digit)
    {
        return Some(version);
    }
    if !behind.iter().all(|octet| octet.is_ascii_whitespace() || *octet == b'.') {
        return None;
    }
    let words = line.get(..version)?.strip_suffix(b" ")?;
    let uri = words.iter().rposition(|&octet| octet == b' ')? + 1;
    if !words.get(uri..)?.contains(&b':') {
        return None;
    }
    let words = words.get(..uri - 1)?;
    let method = words.iter().rposition(|octet| !octet.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    let token = words.get(method..)?;
    let known = METHODS.iter().filter(|known| token.ends_with(known.as_bytes())).map(|known| words.len() - known.len()).min();
    known.or_else(|| (!token.is_empty() && token.iter().all(u8::is_ascii_uppercase)).then_some(method))
}

fn is_empty(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace) || line == b"."
}

/// Whether a line is a header row, or continues one.
fn is_row(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) || is_header(line)
}

fn is_header(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&octet| octet == b':') else { return false };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(|&octet| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet))
}

/// A header's value, by its long or compact name in lower case.
fn value<'t>(row: &'t [u8], long: &[u8], short: &[u8]) -> Option<&'t [u8]> {
    let colon = row.iter().position(|&octet| octet == b':')?;
    let name = row.get(..colon)?.trim_ascii().to_ascii_lowercase();
    (name == long || name == short).then(|| row.get(colon + 1..).unwrap_or_default().trim_ascii())
}

fn content_length(row: &[u8]) -> Option<usize> {
    std::str::from_utf8(value(row, b"content-length", b"l")?).ok()?.parse().ok()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}
