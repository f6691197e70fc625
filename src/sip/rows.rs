//! Judges the rows that every element reads: each Via, Route, Record-Route, Contact, From, To, Call-ID, `CSeq`, Refer-To,
//! Referred-By.
//!
//! A malformed row is a fault, and so is one that readers could understand differently: the next reader could close a connection
//! because of it, or find another dialog in it. Nothing is allocated.

use super::address::Address;
use super::header::{Header, Name, is_space, is_token, trimmed};
use super::list;
use super::marks;
use super::number::decimal;
use super::quick;
use super::scan::{Fault, Message};
use super::uri::{self, Host, Uri};
use super::via::Via;

/// The rows that stand once, and what is wrong with the others.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    /// The topmost Via. All others were read too.
    pub(super) via: Via<'a>,
    /// Whether there is another.
    pub(super) further_vias: bool,
    /// The From tag, if any.
    pub(super) from_tag: Option<&'a [u8]>,
    /// Whether From has a `;` in quotes after its URI, at which some readers begin a parameter.
    pub(super) from_hides: bool,
    /// The To tag, if any.
    pub(super) to_tag: Option<&'a [u8]>,
    pub(super) call_id: &'a [u8],
    pub(super) cseq: u32,
    /// The method that `CSeq` names.
    pub(super) method: &'a [u8],
    /// Max-Forwards, unread.
    max_forwards: Option<&'a [u8]>,
    contacts: Contacts<'a>,
    /// The fault of the first broken row among Route, Record-Route, Contact, Refer-To and Referred-By.
    broken: Option<Fault>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Contacts<'a> {
    count: usize,
    /// One Contact is `*`, which only a REGISTER may have: it means all bindings.
    star: bool,
    /// The host of the first one.
    host: Option<Host<'a>>,
    /// The host of the first Record-Route.
    route: Option<Host<'a>>,
    /// How many Record-Routes there are.
    routes: usize,
}

impl<'a> Rows<'a> {
    /// Reads them. A fault in the rows that not every message has is kept for [`Rows::lists`].
    pub(super) fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let (mut via, mut from, mut to, mut call_id, mut cseq, mut max_forwards) = (None, None, None, None, None, None);
        let (mut contacts, mut broken, mut further_vias) = (Contacts::default(), None, false);
        for header in message.headers() {
            let fault = match header.name {
                Name::Via => {
                    if via.is_none() {
                        via = quick::via(message.bytes(), header.value());
                        if via.is_some() {
                            continue;
                        }
                    } else if quick::is_via(message.value(header)) {
                        further_vias = true;
                        continue;
                    }
                    if !vias(message, header, &mut via, &mut further_vias) {
                        return Err(Fault::Via);
                    }
                    continue;
                }
                Name::From => {
                    from = Some(message.value(header));
                    continue;
                }
                Name::To => {
                    to = Some(message.value(header));
                    continue;
                }
                Name::CallId => {
                    call_id = Some(message.value(header));
                    continue;
                }
                Name::CSeq => {
                    cseq = Some(message.value(header));
                    continue;
                }
                Name::MaxForwards => {
                    max_forwards.get_or_insert_with(|| message.value(header));
                    continue;
                }
                Name::Route | Name::RecordRoute => Fault::Route,
                Name::Contact => Fault::Contact,
                Name::ReferTo | Name::ReferredBy => Fault::Refer,
                _ => continue,
            };
            if broken.is_none() && !contacts.judge(message, header, fault) {
                broken = Some(fault);
            }
        }
        let via = via.ok_or(Fault::Via)?;
        let (from_tag, from_hides) = from.and_then(tag).ok_or(Fault::From)?;
        let (to_tag, _) = to.and_then(tag).filter(|(_, hides)| !hides).ok_or(Fault::To)?;
        let call_id = call_id.filter(|text| is_call_id(text)).ok_or(Fault::CallId)?;
        let (cseq, method) = cseq.and_then(read_cseq).ok_or(Fault::CSeq)?;
        Ok(Self { via, further_vias, from_tag, from_hides, to_tag, call_id, cseq, method, max_forwards, contacts, broken })
    }

    /// What is wrong with the others. `one_contact`: a second Contact is a fault, since two could lead to two places.
    pub(super) fn lists(&self, one_contact: bool) -> Result<(), Fault> {
        if one_contact && (self.contacts.count > 1 || self.contacts.star) {
            return Err(self.broken.unwrap_or(Fault::Contact));
        }
        self.broken.map_or(Ok(()), Err)
    }

    /// The host that a request to the sender goes to first (12.1.1): of the first Record-Route, or else of the first Contact.
    pub(super) fn way_back(&self) -> Option<Host<'a>> {
        self.contacts.route.or(self.contacts.host)
    }

    /// The host of the first Contact.
    pub(super) fn contact(&self) -> Option<Host<'a>> {
        self.contacts.host
    }

    /// The host of the only Record-Route. `Err`: there are several.
    pub(super) fn only_route(&self) -> Result<Option<Host<'a>>, SeveralRoutes> {
        if self.contacts.routes > 1 { Err(SeveralRoutes) } else { Ok(self.contacts.route) }
    }

    /// 0 to 255, if it is there.
    pub(super) fn max_forwards(&self) -> Result<Option<u8>, Fault> {
        let number = |text| decimal(text, 255).and_then(|number| u8::try_from(number).ok()).ok_or(Fault::MaxForwards);
        self.max_forwards.map(number).transpose()
    }
}

/// A message has more Record-Routes than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeveralRoutes;

impl<'a> Contacts<'a> {
    /// Whether a row of a list is sound. Contacts are counted. `fault`: the fault of a row that is not.
    fn judge(&mut self, message: &Message<'a>, header: &Header, fault: Fault) -> bool {
        // Nearly always a row holds one value, in its usual spelling.
        let value = message.value(header);
        if matches!(header.name, Name::Contact | Name::RecordRoute) {
            if let Some(host) = quick::reached(value) {
                self.note(header.name, host);
                return true;
            }
        } else if quick::is_name_addr(value) {
            return true;
        }
        match fault {
            Fault::Route => list::all(message, header, |span| match route(message.slice(&span)) {
                Some(uri) => {
                    self.note(header.name, uri.reached());
                    true
                }
                None => false,
            }),
            Fault::Contact => list::all(message, header, |span| {
                let value = message.slice(&span);
                let star = value == b"*";
                self.star |= star;
                let address = party(value);
                self.note(
                    Name::Contact,
                    address.as_ref().and_then(|address| Uri::parse(address.uri).ok()).and_then(|uri| uri.reached()),
                );
                star || address.is_some()
            }),
            _ => party(message.value(header)).is_some(),
        }
    }

    fn note(&mut self, name: Name, host: Option<Host<'a>>) {
        match name {
            Name::Contact => {
                if self.count == 0 {
                    self.host = host;
                }
                self.count = self.count.saturating_add(1);
            }
            Name::RecordRoute => {
                self.route = self.route.or(host);
                self.routes = self.routes.saturating_add(1);
            }
            _ => {}
        }
    }
}

/// Whether all values of a Via row can be read. The very first one is kept.
#[cold]
fn vias<'a>(message: &Message<'a>, header: &Header, first: &mut Option<Via<'a>>, further: &mut bool) -> bool {
    list::all(message, header, |span| match Via::read(message.bytes(), span) {
        Some(via) if first.is_none() => {
            *first = Some(via);
            true
        }
        Some(_) => {
            *further = true;
            true
        }
        None => false,
    })
}

/// The tag of From or To, if there is one and all readers find the same; and whether a `;` stands in quotes.
fn tag(text: &[u8]) -> Option<(Option<&[u8]>, bool)> {
    if let Some(tag) = quick::tag(text) {
        return Some((tag, false));
    }
    let address = party(text)?;
    Some((address.plain_tag().ok()?, address.hides_semicolon()))
}

/// An address whose URI may have any scheme.
fn party(text: &[u8]) -> Option<Address<'_>> {
    Address::parse(text).filter(|address| uri::is_sound(address.uri))
}

fn route(text: &[u8]) -> Option<Uri<'_>> {
    Uri::parse(Address::route(text)?.uri).ok().filter(|uri| uri.host.is_some())
}

/// 25.1 callid, so strict that all readers cut it alike: visible ASCII without separators of values or parameters.
pub(super) fn is_call_id(text: &[u8]) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let [odd] = marks::block(rest, |octets| [octets.below(b'!') | octets.are(0x7f) | octets.are(b',') | octets.are(b';')]);
        if odd != 0 {
            return false;
        }
        rest = rest.get(marks::BLOCK..).unwrap_or_default();
    }
    !text.is_empty()
}

/// The same, octet by octet.
#[cfg(any(test, fuzzing))]
pub(super) fn is_any_call_id(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&octet| octet.is_ascii_graphic() && octet != b',' && octet != b';')
}

/// The number, below 2^31 (8.1.1.5), and the method.
fn read_cseq(text: &[u8]) -> Option<(u32, &[u8])> {
    quick::cseq(text).or_else(|| read_any_cseq(text))
}

/// The same for all spellings, the unusual ones too.
pub(super) fn read_any_cseq(text: &[u8]) -> Option<(u32, &[u8])> {
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
