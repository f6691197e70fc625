//! A name server on loopback, UDP and TCP, that says what a text tells it to.
//!
//! Each line of the text is a record, `NAME TTL TYPE data…`, or how a question is treated, `NAME TYPE how`: `servfail`, `refused`,
//! `silent`, `truncated` (over UDP), `forged` (a wrong answer under another id comes before the right one), `lone` (an alias
//! without what it stands for). `*` is any name or type. A name without a line does not exist.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

/// What fits into a datagram, as the question says.
const PAYLOAD: usize = 1232;

const TYPES: [(&str, u16); 5] = [("A", 1), ("CNAME", 5), ("AAAA", 28), ("SRV", 33), ("NAPTR", 35)];

#[derive(Clone)]
pub(crate) struct NameServer {
    pub(crate) addr: SocketAddr,
    text: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// Starts; it ends with the test's process.
    pub(crate) fn start(text: &str) -> Self {
        let (udp, tcp) = bind();
        let addr = udp.local_addr().unwrap();
        let server = Self { addr, text: Arc::new(Mutex::new(text.to_owned())), asked: Arc::default() };
        let (over_udp, over_tcp) = (server.clone(), server.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                for answer in over_udp.answers(&buffer[..length], true) {
                    udp.send_to(&answer, from).unwrap();
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let server = over_tcp.clone();
                std::thread::spawn(move || server.converse(stream));
            }
        });
        server
    }

    /// Says something else from now on.
    pub(crate) fn now_says(&self, text: &str) {
        text.clone_into(&mut self.text.lock().unwrap());
    }

    /// Every question so far, `TYPE name`; those over TCP with ` (tcp)` behind.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn converse(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            for answer in self.answers(&query, false) {
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                    return;
                }
            }
        }
    }

    fn answers(&self, query: &[u8], udp: bool) -> Vec<Vec<u8>> {
        let end = 12 + query[12..].iter().position(|&octet| octet == 0).unwrap() + 5;
        let kind = u16::from_be_bytes([query[end - 4], query[end - 3]]);
        let kind = TYPES.iter().find(|(_, number)| *number == kind).map_or("other", |(label, _)| *label);
        let name = name_of(&query[12..end - 4]);
        self.asked.lock().unwrap().push(format!("{kind} {name}{}", if udp { "" } else { " (tcp)" }));
        let text = self.text.lock().unwrap().clone();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).filter(|words: &Vec<_>| !words.is_empty()).collect();
        let treated = |how: &str| {
            lines.iter().any(|words| {
                let [at, of, as_what] = words[..] else { return false };
                (at == "*" || at == name) && (of == "*" || of == kind) && as_what == how
            })
        };
        let reply = |id: [u8; 2], flags: [u8; 2], counts: [u16; 2], sections: &[u8]| {
            let counts = [[0, 1], counts[0].to_be_bytes(), counts[1].to_be_bytes(), [0, 0]].concat();
            [&id[..], &flags, &counts, &query[12..end], sections].concat()
        };
        let id = [query[0], query[1]];
        if treated("silent") {
            return Vec::new();
        }
        if treated("servfail") || treated("refused") {
            let code = if treated("servfail") { 2 } else { 5 };
            return vec![reply(id, [0x84, 0x80 | code], [0, 0], &[])];
        }
        let (mut count, mut records, mut at) = (0, Vec::new(), name.clone());
        for _ in 0..20 {
            let here = |kind: &str| {
                lines.iter().filter(|words| words.len() > 3 && words[0] == at && words[2] == kind).cloned().collect::<Vec<_>>()
            };
            let mut found = here(kind);
            let alias = here("CNAME").first().map(|words| words[3].to_owned()).filter(|_| found.is_empty());
            if alias.is_some() {
                found = here("CNAME");
            }
            for words in found {
                count += 1;
                records.extend(record(&words));
            }
            match alias {
                Some(target) if !treated("lone") => at = target,
                _ => break,
            }
        }
        if udp && (treated("truncated") || records.len() + end > PAYLOAD) {
            return vec![reply(id, [0x86, 0x80], [0, 0], &[])];
        }
        let exists = lines.iter().any(|words| words[0] == at && words.len() > 2);
        let code = if exists || treated("lone") { 0 } else { 3 };
        // RFC 2308: "none" comes with the zone's SOA.
        let ended = records.is_empty()
            || (at != name && !lines.iter().any(|words| words.len() > 3 && words[0] == at && words[2] == kind));
        let negative = u16::from(ended && !treated("lone"));
        if negative == 1 {
            records.extend(soa());
        }
        let right = reply(id, [0x84, 0x80 | code], [count, negative], &records);
        if treated("forged") && udp {
            let wrong = record(&[&name, "3600", "A", "192.0.2.66"]);
            return vec![reply([id[0] ^ 0xff, id[1]], [0x84, 0x80], [1, 0], &wrong), right];
        }
        vec![right]
    }
}

/// One port for both.
fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

/// A name without compression, lower case.
fn name_of(mut octets: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = octets.split_first().filter(|(length, _)| **length > 0) {
        let (label, rest) = rest.split_at(usize::from(length));
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        octets = rest;
    }
    labels.join(".")
}

fn octets_of(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> = labels.flat_map(|label| string(label.as_bytes())).collect();
    out.push(0);
    out
}

fn string(octets: &[u8]) -> Vec<u8> {
    [&[u8::try_from(octets.len()).unwrap()][..], octets].concat()
}

/// RFC 1035 4.1.3.
fn record(words: &[&str]) -> Vec<u8> {
    let number = |at: usize| words[at].parse::<u16>().unwrap().to_be_bytes();
    let quoted = |at: usize| string(words[at].trim_matches('"').as_bytes());
    let data = match words[2] {
        "A" | "AAAA" => match words[3].parse().unwrap() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        },
        "CNAME" => octets_of(words[3]),
        "SRV" => [&number(3)[..], &number(4), &number(5), &octets_of(words[6])].concat(),
        "NAPTR" => [&number(3)[..], &number(4), &quoted(5), &quoted(6), &quoted(7), &octets_of(words[8])].concat(),
        other => panic!("{other}"),
    };
    let kind = TYPES.iter().find(|(label, _)| *label == words[2]).unwrap().1;
    typed(words[0], kind, words[1].parse().unwrap(), &data)
}

fn soa() -> Vec<u8> {
    typed(
        "example.net",
        6,
        3600,
        &[octets_of("ns.example.net"), octets_of("mail.example.net"), [0, 0, 14, 16].repeat(5)].concat(),
    )
}

fn typed(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&octets_of(name)[..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes(), data].concat()
}
