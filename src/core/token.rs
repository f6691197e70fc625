//! The route token: what a later request in the dialog must bring back, signed, in our Record-Route.
//!
//! No dialog is remembered. The token names the trunk (and with it the project) and is bound to the Call-ID and the region; every
//! node that shares the secret can serve it, and nobody else can make one.

use std::collections::HashMap;

use super::keys::{Keys, read_hex, write_hex};
use crate::config::{Config, RegionId, TrunkId};

/// The URI parameter that holds it.
pub(super) const PARAM: &str = "rf";
/// Version, trunk, signature.
pub(super) const LENGTH: usize = 2 + 16 + 16;
const VERSION: &[u8] = b"01";

/// The trunks by the names that tokens carry.
#[derive(Debug)]
pub(super) struct Tokens {
    trunks: HashMap<(RegionId, u64), TrunkId>,
    names: HashMap<(RegionId, TrunkId), u64>,
}

impl Tokens {
    /// Names every trunk in every served region.
    pub(super) fn of(config: &Config, keys: &Keys) -> Self {
        let (mut trunks, mut names) = (HashMap::new(), HashMap::new());
        for (region_id, region) in (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served) {
            for (trunk_id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
                let name = keys.trunk(&region.name, &config.project(trunk.project).name, &trunk.name);
                trunks.insert((region_id, name), trunk_id);
                names.insert((region_id, trunk_id), name);
            }
        }
        Self { trunks, names }
    }

    /// The token of a call of this trunk.
    pub(super) fn sign(&self, keys: &Keys, region: RegionId, trunk: TrunkId, call_id: &[u8]) -> Option<[u8; LENGTH]> {
        let name = *self.names.get(&(region, trunk))?;
        let mut text = [0; LENGTH];
        let (version, rest) = text.split_at_mut(2);
        version.copy_from_slice(VERSION);
        let (trunk, signature) = rest.split_at_mut(16);
        write_hex(name, trunk);
        write_hex(keys.route(&[VERSION, trunk, call_id]), signature);
        Some(text)
    }

    /// The trunk of a token, if it is ours, of this region and of this call.
    pub(super) fn verify(&self, keys: &Keys, region: RegionId, token: &[u8], call_id: &[u8]) -> Option<TrunkId> {
        let rest = token.strip_prefix(VERSION).filter(|_| token.len() == LENGTH)?;
        let (trunk, signature) = rest.split_at_checked(16)?;
        // A difference in time tells nothing: a 64-bit signature that must be guessed anew for each Call-ID.
        if read_hex(signature)? != keys.route(&[VERSION, trunk, call_id]) {
            return None;
        }
        self.trunks.get(&(region, read_hex(trunk)?)).copied()
    }
}
