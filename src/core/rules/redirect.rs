//! Whether a redirect (3xx) leads out of the region: the receiver would call its Contacts past us (RFC 3261 8.1.3.4).

use crate::config::{Endpoint, ProjectId};
use crate::core::rules::refusal::{Refusal, shown};
use crate::core::rules::trace::{Test, Trace};
use crate::core::transaction::forwarded::CallFacts;
use crate::core::view::View;
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::{Host, Uri};
use crate::sip::{Message, Name};

/// The URI of a Contact without its user part, which would show whom the call is led to.
fn unnamed(contact: &[u8]) -> String {
    let Some(address) = Address::parse(contact) else { return "that cannot be read".to_owned() };
    let uri = address.uri;
    let colon = memchr::memchr(b':', uri).map_or(0, |colon| colon + 1);
    let (scheme, rest) = uri.split_at_checked(colon).unwrap_or_default();
    match memchr::memrchr(b'@', rest) {
        Some(at) => format!("{}...{}", shown(scheme), shown(rest.get(at..).unwrap_or_default())),
        None if scheme.eq_ignore_ascii_case(b"tel:") => "tel:...".to_owned(),
        None => shown(uri),
    }
}

impl View<'_> {
    /// The refusal of a redirect if a Contact leads out of the region. A Contact counts as outside if it cannot be read, or if
    /// its name is neither an endpoint of the region nor the trunk's own: nobody could check it.
    pub(crate) fn redirect(&self, call: &CallFacts, message: &Message<'_>) -> Option<Refusal> {
        let mut contacts = list::items(message, Name::Contact).map(|item| message.slice(&item.span));
        let outside = contacts.find(|contact| !self.stays(call, contact))?;
        let detail = format!("Contact {} leads out of the region", unnamed(outside));
        let row = Trace::closed().fail(Test::Targets, || (detail.clone(), "inside".to_owned()));
        Some(Refusal::new(row, Reason::ForeignDialogTarget, detail).of(call.project, call.trunk))
    }

    fn stays(&self, call: &CallFacts, contact: &[u8]) -> bool {
        let Some(uri) = Address::parse(contact).and_then(|address| Uri::parse(address.uri).ok()) else { return false };
        // Headers of a Contact would stand in the next request, even a Route (19.1.5). Kamailio or a few other readers follow the
        // other parameters.
        if !uri.headers.is_empty() || uri.escapes_a_name() || uri.param("alias").is_some() {
            return false;
        }
        let maddr = match uri.param("maddr") {
            None => None,
            Some(Some(maddr)) => Some(maddr),
            Some(None) => return false,
        };
        let maddr = maddr.map(|maddr| match std::str::from_utf8(maddr).map(|text| text.trim_matches(['[', ']']).parse()) {
            Ok(Ok(ip)) => Host::Address(ip),
            _ => Host::Name(maddr),
        });
        // A tel URI has no host, and leads nowhere by itself.
        uri.host.is_none_or(|host| self.is_here(call, host)) && maddr.is_none_or(|host| self.is_here(call, host))
    }

    fn is_here(&self, call: &CallFacts, host: Host<'_>) -> bool {
        let region = self.config.region(call.region);
        let trunk = call.trunk.map(|trunk| self.config.trunk(trunk));
        match host {
            Host::Address(ip) => {
                let of_trunk = trunk.is_some_and(|trunk| trunk.networks.contains(ip) || trunk.reach().contains(ip));
                region.networks.contains(ip) || of_trunk
            }
            Host::Name(name) => match self.config.endpoint(name) {
                Endpoint::Region(at) | Endpoint::Project(at, _) | Endpoint::Trunk(at, _) => at == call.region,
                // A call to it follows the pin of its project, so that pin must be within this call's.
                Endpoint::Global(named) => {
                    let pin = |project: ProjectId| self.config.project(project).pin.as_ref();
                    match (call.project.and_then(pin), pin(named)) {
                        (Some(ours), Some(theirs)) => theirs.iter().all(|region| ours.contains(region)),
                        (Some(_), None) => false,
                        (None, Some(theirs)) => theirs.contains(&call.region),
                        (None, None) => true,
                    }
                }
                Endpoint::Unknown => trunk.and_then(|trunk| trunk.outbound()).is_some_and(|outbound| outbound.has_host(&host)),
            },
        }
    }
}
