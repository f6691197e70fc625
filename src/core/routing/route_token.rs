//! The route token: a signed parameter of our Record-Route that every later request in the dialog must bring back.
//!
//! No dialog is remembered. The token names the trunk (and with it the project), the region whose servers have the call, and the
//! relay of its media. It is bound to the Call-ID and the called region. Every node that shares the secret can read it, and
//! nobody else can make one.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::{Config, RegionId, TrunkId};
use crate::core::keys::{Keys, read_hex, write_hex};

/// The URI parameter that holds the token.
pub(crate) const PARAM: &str = "rf";
/// Its length in characters: version, name, relay, signature.
pub(crate) const LENGTH: usize = 2 + 16 + 4 + 16;
const VERSION: &[u8] = b"03";

/// A signed Record-Route parameter.
pub(crate) type Token = [u8; LENGTH];

/// What a token proves about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vouched {
    /// The trunk of the call.
    pub(crate) trunk: TrunkId,
    /// The region whose servers have the call: the called one, or one of its nearest.
    pub(crate) serving: RegionId,
    /// The called region's relay that has the call's media. `None`: no relay has it, or the configuration does not name that
    /// relay any more.
    pub(crate) relay: Option<SocketAddr>,
}

/// All trunks, regions and relays that a token can name.
#[derive(Debug)]
pub(crate) struct Tokens {
    vouched: HashMap<(RegionId, u64), (TrunkId, RegionId)>,
    names: HashMap<(RegionId, TrunkId, RegionId), u64>,
    relays: HashMap<(RegionId, u16), SocketAddr>,
}

impl Tokens {
    /// Names every trunk in every region that is served, or was until the last reload, with each region that may serve it. A
    /// trunk gets no name for a region that may not serve it: so a token that was signed before its project was pinned is worth
    /// nothing afterwards. The relay has its own part in the token, because a call goes on if its relay is gone.
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

    /// What a token proves, if we signed it for this region and this call.
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
