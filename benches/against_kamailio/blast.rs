//! A caller and a callee in one program, far cheaper than any proxy, so that the proxy is what reaches its limit.
//!
//! It repeats nothing: a message that is lost makes a failed call. Calls begin at a fixed rate, whether the proxy keeps up or not.
//!
//! ```text
//! blast PROXY CALLER CALLEE DOMAIN RATE CALLS [refused]
//! ```
//!
//! PROXY, CALLER and CALLEE are addresses with ports. Each call is INVITE, 100, 180, 200, ACK, BYE, 200. With `refused` each INVITE
//! is to get a final refusal, which is acknowledged. The last line that it prints: calls that went well, calls that went wrong, calls
//! that were lost, and the set-up times in microseconds that half of the calls and 99 of 100 stayed below.

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Calls that begin at most before answers are read again.
const BURST: usize = 100;

struct Load {
    proxy: SocketAddr,
    caller: UdpSocket,
    callee: UdpSocket,
    domain: String,
    run: u128,
    /// When each call began. `None`: not yet, or it has ended.
    begun: Vec<Option<Instant>>,
    times: Vec<u64>,
    good: usize,
    bad: usize,
    out: Vec<u8>,
}

/// The rows of a message with this name, as they came.
fn rows<'m>(message: &'m str, name: &str) -> impl Iterator<Item = &'m str> {
    message
        .split_inclusive("\r\n")
        .skip(1)
        .take_while(|row| *row != "\r\n")
        .filter(move |row| row.split(':').next().is_some_and(|of| of.eq_ignore_ascii_case(name)))
}

fn description(ip: impl std::fmt::Display) -> String {
    format!(
        "v=0\r\no=sbc 53655765 2353687637 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 0 18 101\r\n\
a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

impl Load {
    fn call(&mut self, number: usize) {
        let from = self.caller.local_addr().expect("a bound socket");
        let sdp = description(from.ip());
        let (domain, run) = (&self.domain, self.run);
        self.out.clear();
        write!(
            self.out,
            "INVITE sip:+4930{number:07}@{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKi{run}-{number}\r\n\
From: \"Trunk\" <sip:+4989123456@trunk.example.net>;tag=f{number}\r\nTo: <sip:+4930{number:07}@{domain}>\r\n\
Call-ID: b{run}-{number}@blast\r\nCSeq: 1 INVITE\r\nContact: <sip:trunk@{from}>\r\nMax-Forwards: 70\r\n\
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, REFER, NOTIFY\r\nSupported: timer, replaces, 100rel\r\n\
User-Agent: trunk-sbc/7.4.2\r\nP-Asserted-Identity: <sip:+4989123456@trunk.example.net>\r\n\
Session-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
        .expect("memory");
        self.begun[number] = Some(Instant::now());
        let _ = self.caller.send_to(&self.out, self.proxy);
    }

    /// The region's server.
    fn answer(&mut self, message: &str) {
        let invite = message.starts_with("INVITE ");
        if !invite && !message.starts_with("BYE ") && !message.starts_with("OPTIONS ") {
            return;
        }
        let here = self.callee.local_addr().expect("a bound socket");
        let mut head = String::with_capacity(1024);
        rows(message, "Via").for_each(|row| head.push_str(row));
        rows(message, "Record-Route").for_each(|row| head.push_str(row));
        rows(message, "From").for_each(|row| head.push_str(row));
        for to in rows(message, "To") {
            head.push_str(to.trim_end());
            head.push_str(if to.contains(";tag=") { "\r\n" } else { ";tag=callee\r\n" });
        }
        rows(message, "Call-ID").for_each(|row| head.push_str(row));
        rows(message, "CSeq").for_each(|row| head.push_str(row));
        let mut send = |line: &str, rest: &str| {
            self.out.clear();
            write!(self.out, "SIP/2.0 {line}\r\n{head}{rest}").expect("memory");
            let _ = self.callee.send_to(&self.out, self.proxy);
        };
        if invite {
            let contact = format!("Contact: <sip:callee@{here}>\r\n");
            let sdp = description(here.ip());
            send("180 Ringing", &format!("{contact}Content-Length: 0\r\n\r\n"));
            send("200 OK", &format!("{contact}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len()));
        } else {
            send("200 OK", "Content-Length: 0\r\n\r\n");
        }
    }

    /// The carrier hears an answer.
    fn heard(&mut self, message: &str, refused: bool) -> Option<()> {
        let code: u16 = message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
        let id = rows(message, "Call-ID").next()?.trim_end().strip_prefix("Call-ID: b")?.strip_suffix("@blast")?;
        let (run, number) = id.split_once('-')?;
        let number: usize = number.parse().ok().filter(|_| run == self.run.to_string())?;
        let begun = self.begun.get(number).copied().flatten().filter(|_| code >= 200)?;
        let bye = rows(message, "CSeq").any(|row| row.contains("BYE"));
        if bye || (code != 200 && !refused) {
            *if code == 200 { &mut self.good } else { &mut self.bad } += 1;
            self.begun[number] = None;
            return Some(());
        }
        self.times.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        let from = self.caller.local_addr().expect("a bound socket");
        let (of, to) = (rows(message, "From").next()?, rows(message, "To").next()?);
        let rest = format!("{of}{to}Call-ID: {id}\r\n", id = format_args!("b{id}@blast"));
        let mut send = |method: &str, uri: &str, branch: &str, cseq: u32, routes: &str| {
            self.out.clear();
            write!(
                self.out,
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{branch}{run}-{number}\r\n{routes}{rest}\
CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
            .expect("memory");
            let _ = self.caller.send_to(&self.out, self.proxy);
        };
        if refused {
            send("ACK", &format!("sip:+4930{number:07}@{}", self.domain), "i", 1, "");
            *if code >= 300 && code != 503 { &mut self.good } else { &mut self.bad } += 1;
            self.begun[number] = None;
            return Some(());
        }
        let contact = rows(message, "Contact").next()?;
        let uri = contact.get(contact.find('<')? + 1..contact.find('>')?)?;
        let routes: String = rows(message, "Record-Route").map(|row| row.replacen("Record-Route", "Route", 1)).collect();
        send("ACK", uri, "a", 1, &routes);
        send("BYE", uri, "b", 2, &routes);
        Some(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proxy, caller, callee, domain, rate, calls, kind @ ..] = arguments.as_slice() else {
        eprintln!("usage: blast PROXY CALLER CALLEE DOMAIN RATE CALLS [refused]");
        return ExitCode::from(2);
    };
    let socket = |address: &str| {
        let socket = UdpSocket::bind(address).expect("a free address");
        socket.set_nonblocking(true).expect("a socket");
        socket
    };
    let (rate, calls): (f64, usize) = (rate.parse().expect("a rate"), calls.parse().expect("a number of calls"));
    let refused = kind.first().is_some_and(|kind| kind == "refused");
    let start = Instant::now();
    let mut load = Load {
        proxy: proxy.parse().expect("an address of the proxy"),
        caller: socket(caller),
        callee: socket(callee),
        domain: domain.clone(),
        run: std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis(),
        begun: vec![None; calls],
        times: Vec::with_capacity(calls),
        good: 0,
        bad: 0,
        out: Vec::with_capacity(4096),
    };
    let (mut begun, mut last, mut buffer) = (0, start, vec![0_u8; 65_536]);
    while load.good + load.bad < calls && !(begun == calls && last.elapsed() > Duration::from_secs(3)) {
        let due = ((start.elapsed().as_secs_f64() * rate) as usize).min(calls).min(begun + BURST);
        let mut idle = due == begun;
        for number in begun..due {
            load.call(number);
        }
        begun = due;
        while let Ok((length, _)) = load.callee.recv_from(&mut buffer) {
            load.answer(&String::from_utf8_lossy(&buffer[..length]));
            (last, idle) = (Instant::now(), false);
        }
        while let Ok((length, _)) = load.caller.recv_from(&mut buffer) {
            load.heard(&String::from_utf8_lossy(&buffer[..length]), refused);
            (last, idle) = (Instant::now(), false);
        }
        if idle {
            sleep(Duration::from_micros(50));
        }
    }
    load.times.sort_unstable();
    let below = |part: usize| load.times.get(load.times.len() * part / 100).copied().unwrap_or(0);
    println!("{} {} {} {} {}", load.good, load.bad, calls - load.good - load.bad, below(50), below(99));
    ExitCode::from(u8::from(load.good < calls))
}
