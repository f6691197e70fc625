//! Who watches decisions at the admin port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// A client of `/watch` that reads when it is told to.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: BufReader<TcpStream>,
    /// Of lines whose end has not come yet.
    text: String,
}

impl Watch {
    /// Begins to watch, and waits until it does. `Err`: the answer that refuses it.
    pub(crate) fn begin(admin: SocketAddr, query: &str) -> Result<Self, (u16, String)> {
        let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /watch{query} HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
        let mut watch = Self { stream: BufReader::new(stream), text: String::new() };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(watch.stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let (code, head) = (head[9..12].parse().unwrap(), head.to_ascii_lowercase());
        if code != 200 {
            let (_, length) = head.split_once("content-length: ").unwrap();
            let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
            watch.stream.read_exact(&mut body).unwrap();
            return Err((code, String::from_utf8(body).unwrap()));
        }
        assert!(head.contains("transfer-encoding: chunked") && head.contains("content-type: application/x-ndjson"), "{head}");
        assert_eq!(watch.chunk().as_deref(), Some("\n"), "an empty line says that it watches");
        Ok(watch)
    }

    /// The next decision. `None`: the stream has ended as it should.
    pub(crate) fn line(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.text = rest;
                if !line.is_empty() {
                    return Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
                }
                continue;
            }
            let chunk = self.chunk()?;
            self.text.push_str(&chunk);
        }
    }

    /// The next decision, which there must be.
    pub(crate) fn next(&mut self) -> Value {
        self.line().expect("a decision")
    }

    /// What came next, whole lines or not. `None`: the stream has ended as it should.
    pub(crate) fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or_else(|error| panic!("{error}: {size:?}"));
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.truncate(size);
        (size > 0).then(|| String::from_utf8(bytes).unwrap())
    }
}
