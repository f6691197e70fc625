//! The rows that every element reads: each Via, Route, Record-Route, Contact, From, To, Call-ID, `CSeq`, Refer-To, Referred-By.
//!
//! What is malformed in them, or what readers understand differently, is a fault: a reader behind us could give up a connection for
//! it, or find another dialog in it. Nothing is allocated.

use super::address::Address;
use super::header::{Header, Name, is_space, is_token, trimmed};
use super::list;
use super::number::decimal;
use super::scan::{Fault, Message};
use super::uri::{self, Scheme, Uri};
use super::via::Via;

/// Those that are there once.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    /// The topmost Via.
    pub(super) via: Via<'a>,
    /// The From tag, if any.
    pub(super) from_tag: Option<&'a [u8]>,
    /// Whether From has a `;` in quotes behind its URI, where some begin a parameter.
    pub(super) from_hides: bool,
    /// The To tag, if any.
    pub(super) to_tag: Option<&'a [u8]>,
    pub(super) call_id: &'a [u8],
    pub(super) cseq: u32,
    /// The method that `CSeq` names.
    pub(super) method: &'a [u8],
}

impl<'a> Rows<'a> {
    /// Reads them, and every Via.
    pub(super) fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let (mut via, mut from, mut to, mut call_id, mut cseq) = (None, None, None, None, None);
        for header in message.headers() {
            match header.name {
                Name::Via => {
                    let sound = list::all(message, header, |span| match Via::read(message.bytes(), span) {
                        Some(read) => {
                            via.get_or_insert(read);
                            true
                        }
                        None => false,
                    });
                    if !sound {
                        return Err(Fault::Via);
                    }
                }
                Name::From => from = Some(message.value(header)),
                Name::To => to = Some(message.value(header)),
                Name::CallId => call_id = Some(message.value(header)),
                Name::CSeq => cseq = Some(message.value(header)),
                _ => {}
            }
        }
        let via = via.ok_or(Fault::Via)?;
        let from = from.and_then(party).ok_or(Fault::From)?;
        let from_tag = from.plain_tag().map_err(|_| Fault::From)?;
        let to = to.and_then(party).filter(|to| !to.hides_semicolon()).ok_or(Fault::To)?;
        let to_tag = to.plain_tag().map_err(|_| Fault::To)?;
        let call_id = call_id.filter(|text| is_call_id(text)).ok_or(Fault::CallId)?;
        let (cseq, method) = cseq.and_then(read_cseq).ok_or(Fault::CSeq)?;
        Ok(Self { via, from_tag, from_hides: from.hides_semicolon(), to_tag, call_id, cseq, method })
    }
}

/// Judges the rows that may hold lists or be missing. `one_contact`: two Contacts could lead to two places.
pub(super) fn judge(message: &Message<'_>, one_contact: bool) -> Result<(), Fault> {
    let mut contacts = 0_usize;
    for header in message.headers() {
        let (sound, fault) = match header.name {
            Name::Route | Name::RecordRoute => (list::all(message, header, |span| is_route(message.slice(&span))), Fault::Route),
            Name::Contact => {
                let sound = list::all(message, header, |span| {
                    contacts = contacts.saturating_add(1);
                    is_contact(message.slice(&span), one_contact)
                });
                (sound && !(one_contact && contacts > 1), Fault::Contact)
            }
            Name::ReferTo | Name::ReferredBy => (party(message.value(header)).is_some(), Fault::Refer),
            _ => continue,
        };
        if !sound {
            return Err(fault);
        }
    }
    Ok(())
}

/// An address whose URI may have any scheme.
fn party(text: &[u8]) -> Option<Address<'_>> {
    Address::parse(text).filter(|address| uri::is_sound(address.uri))
}

fn is_route(text: &[u8]) -> bool {
    let uri = Address::route(text).and_then(|address| Uri::parse(address.uri).ok());
    uri.is_some_and(|uri| uri.scheme != Scheme::Tel)
}

/// `*` stands for all bindings of a registration, and nowhere else.
fn is_contact(text: &[u8], one: bool) -> bool {
    text == b"*" && !one || party(text).is_some()
}

/// 25.1 callid, as far as readers could cut it otherwise: visible ASCII, and nothing that separates values or parameters.
fn is_call_id(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b',' | b';'))
}

/// The number, below 2^31 (8.1.1.5), and the method.
fn read_cseq(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().position(|&octet| is_space(octet))?;
    let (number, method) = text.split_at_checked(end)?;
    let method = trimmed(method);
    let number = u32::try_from(decimal(number, (1 << 31) - 1)?).ok()?;
    (!method.is_empty() && method.iter().copied().all(is_token)).then_some((number, method))
}

/// The number and the method of a message's `CSeq`.
pub(crate) fn cseq<'a>(message: &Message<'a>) -> Option<(u32, &'a [u8])> {
    read_cseq(message.value(message.first(Name::CSeq)?))
}

/// The first row of Max-Forwards, read: 0 to 255.
pub(super) fn max_forwards(message: &Message<'_>) -> Result<Option<u8>, Fault> {
    let number = |header: &Header| decimal(message.value(header), 255).and_then(|number| u8::try_from(number).ok());
    message.first(Name::MaxForwards).map(|header| number(header).ok_or(Fault::MaxForwards)).transpose()
}
