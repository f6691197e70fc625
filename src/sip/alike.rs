//! Holds that the short ways to read a value find what the full readers find. For tests and fuzzing alone.
//!
//! A short way may know less: then the full reader decides. It may not find anything else.
#![allow(clippy::missing_panics_doc, clippy::expect_used, reason = "for tests alone, which stop here")]

use std::cell::RefCell;
use std::net::IpAddr;

use super::address::Address;
use super::parameter::{any_param, param};
use super::rows::{is_any_call_id, is_call_id, read_any_cseq};
use super::sdp::{self, Extent, Inside};
use super::uri::{Uri, is_sound};
use super::via::Via;
use super::{quick, uri};

/// Reads a value by both ways, as if it stood in each of the rows that have a short way.
pub fn values(text: &[u8]) {
    if let Some(short) = quick::uri(text) {
        assert_eq!(Uri::parse_any(text), Ok(short));
    }
    let usual = quick::is_name_addr(text);
    assert_eq!(
        (quick::tag(text).is_some(), quick::reached(text).is_some(), quick::bracketed(text).is_some()),
        (usual, usual, usual)
    );
    if let (Some(tag), Some(reached), Some((short, span))) = (quick::tag(text), quick::reached(text), quick::bracketed(text)) {
        let address = Address::parse(text).expect("an address");
        assert!(is_sound(address.uri) && !address.hides_semicolon());
        assert_eq!(address.plain_tag(), Ok(tag));
        assert_eq!(address.uri_span, span);
        let uri = Uri::parse_any(address.uri).expect("a URI");
        assert_eq!(reached, uri.reached());
        assert_eq!(short, uri);
        assert_eq!(Address::route(text), Some(address));
    }
    let via = quick::via(text, 0..text.len());
    assert_eq!(quick::is_via(text), via.is_some());
    if let Some(via) = via {
        assert_eq!(Via::read_any(text, 0..text.len()), Some(via));
    }
    if let Some(short) = quick::cseq(text) {
        assert_eq!(read_any_cseq(text), Some(short));
    }
    for name in ["lr", "RF", "maddr", "transport", "tag"] {
        assert_eq!(param(text, name), any_param(text, name));
    }
    assert_eq!(is_call_id(text), is_any_call_id(text));
    if let Some(ip) = quick::quad(text) {
        assert_eq!(uri::host_port(text), Some((uri::Host::Address(ip.into()), None)));
    }
}

/// What a reader of descriptions asks, and in which order.
#[derive(Default)]
struct AskedAddresses(RefCell<Vec<(IpAddr, bool)>>);

impl AskedAddresses {
    fn note(&self, ip: IpAddr, unused: bool) -> bool {
        self.0.borrow_mut().push((ip, unused));
        // One address in eight is outside, so that both verdicts are seen.
        match ip {
            IpAddr::V4(ip) => ip.octets()[3] % 8 != 0,
            IpAddr::V6(ip) => ip.octets()[15] % 8 != 0,
        }
    }
}

impl Inside for AskedAddresses {
    fn holds(&self, ip: IpAddr) -> bool {
        self.note(ip, false)
    }

    fn holds_unused(&self, ip: IpAddr) -> bool {
        self.note(ip, true)
    }
}

/// Judges a description by both ways: the verdict is the same, and so are the addresses that are asked about.
pub fn descriptions(text: &[u8]) {
    if text.len() > sdp::MAX_BODY {
        return;
    }
    for extent in [Extent::Whole, Extent::Piece] {
        let (short, full) = (AskedAddresses::default(), AskedAddresses::default());
        assert_eq!(sdp::read(text, &short, extent), sdp::read_any(text, &full, extent));
        assert_eq!(short.0.into_inner(), full.0.into_inner());
    }
}
