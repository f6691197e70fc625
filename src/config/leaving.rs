//! Makes a new snapshot the successor of another. Regions and listeners that only the old one had, and that are still needed, are
//! added at its end.
//!
//! An open transaction, a connection or a socket belongs to a region and a listener. If a reload takes these away, they stay as
//! leaving ones until nothing needs them. No new call comes in by them, but every id in use keeps a meaning.

use super::ids::{ListenerId, RegionId};
use super::region::{Listener, Region};
use super::snapshot::Config;

/// Regions and listeners that are leaving and still needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Regions of open transactions and connections.
    pub regions: Vec<RegionId>,
    /// Listeners with an open socket, and those of transactions and connections.
    pub listeners: Vec<ListenerId>,
}

impl Config {
    /// This snapshot as the successor of `old`. It also gets what only `old` has, except for what is leaving already and not
    /// needed any more. `None`: so much is leaving that the ids do not suffice.
    #[must_use]
    pub fn succeeding(mut self, old: &Self, needed: &Needed) -> Option<Self> {
        for (id, listener) in (0..).map(ListenerId).zip(&old.listeners) {
            let stays = self.listeners.iter().any(|other| other.is_same_socket(listener));
            if stays || listener.leaving && !needed.listeners.contains(&id) {
                continue;
            }
            let region = self.adopt(old, listener.region)?;
            u16::try_from(self.listeners.len()).ok()?;
            self.listeners.push(Listener { region, leaving: true, ..*listener });
        }
        for (id, region) in (0..).map(RegionId).zip(&old.regions) {
            if !region.leaving || needed.regions.contains(&id) {
                self.adopt(old, id)?;
            }
        }
        Some(self)
    }

    /// The new id of a region of `old`. The region is leaving if it was served before and is not served now.
    fn adopt(&mut self, old: &Self, id: RegionId) -> Option<RegionId> {
        let region = old.region(id);
        if let Some((at, own)) = (0..).zip(&mut self.regions).find(|(_, other)| other.name == region.name) {
            own.leaving |= !own.served && (region.served || region.leaving);
            if own.leaving && own.tls.is_none() {
                own.tls.clone_from(&region.tls);
            }
            return Some(RegionId(at));
        }
        let next = u16::try_from(self.regions.len()).ok()?;
        self.regions.push(Region {
            name: region.name.clone(),
            hostname: region.hostname.clone(),
            served: false,
            leaving: true,
            networks: region.networks.clone(),
            servers: region.servers.clone(),
            // Ids of the old snapshot mean nothing here: its calls stay where they are.
            upstream: Vec::new(),
            nearest: Vec::new(),
            relays: region.relays.clone(),
            advertise: region.advertise.clone(),
            register: false,
            publish: false,
            // It is in no file any more: nobody is sent there.
            realtime: None,
            listeners: Vec::new(),
            collector: region.collector,
            tls: region.tls.clone(),
        });
        Some(RegionId(next))
    }
}

impl Listener {
    /// Whether one socket can serve both.
    pub(crate) fn is_same_socket(&self, other: &Self) -> bool {
        (self.transport, self.addr) == (other.transport, other.addr)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(served: &[(&str, u8)]) -> Config {
        let names: Vec<_> = served.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let region = |(name, last): &(&str, u8)| {
            format!(
                "[region.{name}]\nhostname = \"{name}.example.com\"\nlisten = [\"udp:192.0.2.{last}:5060\"]\n\
                 networks = [\"10.{last}.0.0/16\"]\nupstream = \"10.{last}.0.1\"\n"
            )
        };
        let regions: Vec<_> = served.iter().map(region).collect();
        let text = format!("serve = [{}]\n{}", names.join(", "), regions.concat());
        super::super::parse(Path::new("test.toml"), &text).unwrap()
    }

    /// Every region, then every listener with its region; `-` in front of what is leaving.
    fn shown(config: &Config) -> String {
        let sign = |leaving| if leaving { "-" } else { "" };
        let regions = config.regions.iter().map(|region| format!("{}{}", sign(region.leaving), region.name));
        let listeners = config
            .listeners
            .iter()
            .map(|listener| format!("{}{}@{}", sign(listener.leaving), listener.addr.ip(), config.region(listener.region).name));
        regions.chain(listeners).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_gone_leaves_and_what_is_not_needed_any_more_has_left() {
        let first = config(&[("eu", 1), ("uk", 2)]);
        let next = || config(&[("uk", 2), ("us", 3)]);
        let second = next().succeeding(&first, &Needed::default()).unwrap();
        assert_eq!(shown(&second), "uk us -eu 192.0.2.2@uk 192.0.2.3@us -192.0.2.1@eu");
        let needed = Needed { regions: vec![RegionId(2)], listeners: vec![ListenerId(2)] };
        assert_eq!(shown(&next().succeeding(&second, &needed).unwrap()), shown(&second), "still needed, still there");
        // An address that moves to another region keeps its socket.
        let moved = config(&[("uk", 1)]).succeeding(&second, &needed).unwrap();
        assert_eq!(shown(&moved), "uk -us -eu 192.0.2.1@uk -192.0.2.2@uk -192.0.2.3@us");
        assert_eq!(shown(&next().succeeding(&second, &Needed::default()).unwrap()), shown(&next()));
    }

    #[test]
    fn a_region_that_is_named_but_served_no_more_leaves_under_its_new_networks() {
        let first = config(&[("eu", 1), ("uk", 2)]);
        let both = "serve = [\"uk\"]\n[region.uk]\nhostname = \"uk.example.com\"\nlisten = [\"udp:192.0.2.2:5060\"]\n\
                    networks = [\"10.2.0.0/16\"]\nupstream = \"10.2.0.1\"\n[region.eu]\nhostname = \"eu.example.com\"\n\
                    networks = [\"10.9.0.0/16\"]\n";
        let second = super::super::parse(Path::new("test.toml"), both).unwrap();
        let second = second.succeeding(&first, &Needed::default()).unwrap();
        assert_eq!(shown(&second), "uk -eu 192.0.2.2@uk -192.0.2.1@eu");
        assert!(second.regions[1].networks.contains("10.9.0.1".parse().unwrap()) && !second.regions[1].served);
    }
}
