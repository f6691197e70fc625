//! The route token: what a later request in the dialog must bring back, signed, in our Record-Route.
//!
//! No dialog is remembered. The token names the trunk (and with it the project) and the region whose servers have the call, and is
//! bound to the Call-ID and the called region; every node that shares the secret can serve it, and nobody else can make one.

use std::collections::HashMap;

use super::keys::{Keys, read_hex, write_hex};
use crate::config::{Config, RegionId, TrunkId};

/// The URI parameter that holds it.
pub(super) const PARAM: &str = "rf";
/// Version, name, signature.
pub(super) const LENGTH: usize = 2 + 16 + 16;
const VERSION: &[u8] = b"02";

/// What a token vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Vouched {
    /// The trunk of the call.
    pub(super) trunk: TrunkId,
    /// The region whose servers have the call: the called one, or one of its nearest.
    pub(super) serving: RegionId,
}

/// All that can be vouched for, by the names that tokens carry.
#[derive(Debug)]
pub(super) struct Tokens {
    vouched: HashMap<(RegionId, u64), Vouched>,
    names: HashMap<(RegionId, Vouched), u64>,
}

impl Tokens {
    /// Names every trunk in every region that is served, or was a moment ago, with each region that may serve it. What may not serve has no name: a token that
    /// was signed before a project was pinned is worth nothing afterwards.
    pub(super) fn of(config: &Config, keys: &Keys) -> Self {
        let (mut vouched, mut names) = (HashMap::new(), HashMap::new());
        for (called, region) in (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served || region.leaving) {
            for (trunk_id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
                let project = config.project(trunk.project);
                let nearest = region.nearest.iter().filter(|_| project.pin.is_none());
                for &serving in std::iter::once(&called).chain(nearest) {
                    let name = keys.trunk(&region.name, &config.region(serving).name, &project.name, &trunk.name);
                    let what = Vouched { trunk: trunk_id, serving };
                    vouched.insert((called, name), what);
                    names.insert((called, what), name);
                }
            }
        }
        Self { vouched, names }
    }

    /// The token of a call to a region.
    pub(super) fn sign(&self, keys: &Keys, called: RegionId, what: Vouched, call_id: &[u8]) -> Option<[u8; LENGTH]> {
        let name = *self.names.get(&(called, what))?;
        let mut text = [0; LENGTH];
        let (version, rest) = text.split_at_mut(2);
        version.copy_from_slice(VERSION);
        let (digits, signature) = rest.split_at_mut(16);
        write_hex(name, digits);
        write_hex(keys.route(&[VERSION, digits, call_id]), signature);
        Some(text)
    }

    /// What a token vouches for, if it is ours, of this region and of this call.
    pub(super) fn verify(&self, keys: &Keys, called: RegionId, token: &[u8], call_id: &[u8]) -> Option<Vouched> {
        let rest = token.strip_prefix(VERSION).filter(|_| token.len() == LENGTH)?;
        let (name, signature) = rest.split_at_checked(16)?;
        // A difference in time tells nothing: a 64-bit signature that must be guessed anew for each Call-ID.
        if read_hex(signature)? != keys.route(&[VERSION, name, call_id]) {
            return None;
        }
        self.vouched.get(&(called, read_hex(name)?)).copied()
    }
}
