//! The route token: what a later request in the dialog must bring back, signed, in our Record-Route.
//!
//! No dialog is remembered. The token names the trunk (and with it the project), the region whose servers have the call and the
//! relay of its media, and is bound to the Call-ID and the called region; every node that shares the secret can serve it, and
//! nobody else can make one.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::{Config, RegionId, TrunkId};
use crate::core::keys::{Keys, read_hex, write_hex};

/// The URI parameter that holds it.
pub(crate) const PARAM: &str = "rf";
/// Version, name, relay, signature.
pub(crate) const LENGTH: usize = 2 + 16 + 4 + 16;
const VERSION: &[u8] = b"03";

/// A signed Record-Route parameter.
pub(crate) type Token = [u8; LENGTH];

/// What a token vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vouched {
    /// The trunk of the call.
    pub(crate) trunk: TrunkId,
    /// The region whose servers have the call: the called one, or one of its nearest.
    pub(crate) serving: RegionId,
    /// The called region's relay that has the call's media. `None`: none has, or it is gone from the configuration.
    pub(crate) relay: Option<SocketAddr>,
}

/// All that can be vouched for, by the names that tokens carry.
#[derive(Debug)]
pub(crate) struct Tokens {
    vouched: HashMap<(RegionId, u64), (TrunkId, RegionId)>,
    names: HashMap<(RegionId, TrunkId, RegionId), u64>,
    relays: HashMap<(RegionId, u16), SocketAddr>,
}

impl Tokens {
    /// Names every trunk in every region that is served, or was a moment ago, with each region that may serve it. What may not serve has no name: a token that
    /// was signed before a project was pinned is worth nothing afterwards. A relay has its own place: a call goes on when it is gone.
    pub(crate) fn of(config: &Config, keys: &Keys) -> Self {
        let (mut vouched, mut names, mut relays) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (called, region) in (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served || region.leaving) {
            for (trunk_id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
                let project = config.project(trunk.project);
                let nearest = region.nearest.iter().filter(|_| project.pin.is_none());
                for &serving in std::iter::once(&called).chain(nearest) {
                    let name = keys.trunk(&region.name, &config.region(serving).name, &project.name, &trunk.name);
                    vouched.insert((called, name), (trunk_id, serving));
                    names.insert((called, trunk_id, serving), name);
                }
            }
            relays.extend(region.relays.iter().map(|&addr| ((called, keys.relay(addr)), addr)));
        }
        Self { vouched, names, relays }
    }

    /// The token of a call to a region.
    pub(crate) fn sign(&self, keys: &Keys, called: RegionId, what: Vouched, call_id: &[u8]) -> Option<[u8; LENGTH]> {
        let name = *self.names.get(&(called, what.trunk, what.serving))?;
        let mut text = [0; LENGTH];
        let (version, rest) = text.split_at_mut(2);
        version.copy_from_slice(VERSION);
        let (digits, signature) = rest.split_at_mut(20);
        let (trunk, relay) = digits.split_at_mut(16);
        write_hex(name, trunk);
        write_hex(what.relay.map_or(0, |addr| keys.relay(addr)).into(), relay);
        write_hex(keys.route(&[VERSION, digits, call_id]), signature);
        Some(text)
    }

    /// What a token vouches for, if it is ours, of this region and of this call.
    pub(crate) fn verify(&self, keys: &Keys, called: RegionId, token: &[u8], call_id: &[u8]) -> Option<Vouched> {
        let rest = token.strip_prefix(VERSION).filter(|_| token.len() == LENGTH)?;
        let (digits, signature) = rest.split_at_checked(20)?;
        // A difference in time tells nothing: a 64-bit signature that must be guessed anew for each Call-ID.
        if read_hex(signature)? != keys.route(&[VERSION, digits, call_id]) {
            return None;
        }
        let (name, relay) = digits.split_at_checked(16)?;
        let (trunk, serving) = self.vouched.get(&(called, read_hex(name)?)).copied()?;
        let relay = u16::try_from(read_hex(relay)?).ok()?;
        Some(Vouched { trunk, serving, relay: self.relays.get(&(called, relay)).copied() })
    }
}
