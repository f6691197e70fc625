//! HTTP/1.1 as a hostile client writes it: octets, and what comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::harness::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let rows = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = rows.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let first = found.next();
        assert!(found.next().is_none(), "{name} twice: {}", self.head);
        first
    }
}

/// Sends a request as it is written here, `\n` for a line's end, and reads the answer.
pub(super) fn ask(to: SocketAddr, method: &str, target: &str, rows: &[&str], body: &str) -> Answer {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: eu.rtc.example.com\r\n");
    for row in rows {
        text.push_str(row);
        text.push_str("\r\n");
    }
    if !rows.iter().any(|row| row.starts_with("Connection:")) {
        text.push_str("Connection: close\r\n");
    }
    if !body.is_empty() {
        text.push_str("Content-Length: ");
        text.push_str(&body.len().to_string());
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Too much of it is refused before it is all there.
    let _ = stream.write_all(text.as_bytes());
    read(&mut stream)
}

fn read(stream: &mut TcpStream) -> Answer {
    let mut octets = Vec::new();
    let mut part = [0; 16384];
    let head = loop {
        if let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(octets.drain(..at + 4).collect()).unwrap();
        }
        let got = stream.read(&mut part).unwrap();
        assert!(got > 0, "closed without an answer: {}", String::from_utf8_lossy(&octets));
        octets.extend_from_slice(&part[..got]);
    };
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { code, head, body: String::new() };
    if code == 101 {
        return answer;
    }
    // A connection that was asked to close, or is closed in the middle of what it did not want.
    let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
    while length.is_none_or(|length| octets.len() < length) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(got) => octets.extend_from_slice(&part[..got]),
        }
    }
    answer.body = String::from_utf8_lossy(&octets).into_owned();
    if answer.header("transfer-encoding").is_some() {
        answer.body = dechunked(&answer.body);
    }
    answer
}

fn dechunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&rest[..length]);
        if length == 0 {
            break;
        }
        text = &rest[length + 2..];
    }
    whole
}
