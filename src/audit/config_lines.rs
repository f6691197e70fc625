//! What a configuration says of where calls may go, for `config` records: so much that every target can be judged again by the record alone.

use serde_json::{Map, Value, json};

use crate::config::{Config, Hop, Region, Transport, Written};
use crate::fence::Networks;

/// Most trunks that one record tells of, and most octets of them before another record begins.
const TRUNKS: usize = 10_000;
const OCTETS: usize = 16 << 20;

/// The `config` records of a configuration, each without its braces and what every record begins with.
pub(crate) fn config_lines(config: &Config) -> Vec<String> {
    let regions: Vec<Value> = config.regions.iter().map(|of| region(config, of)).collect();
    let trunks: Vec<Value> = config.trunks.iter().filter_map(|of| trunk(config, of)).collect();
    let chunks = chunks(&trunks);
    let parts = chunks.len();
    let line = |part: usize| {
        let mut record = Map::new();
        record.insert("digest".to_owned(), config.digest.clone().into());
        if parts > 1 {
            record.insert("part".to_owned(), part.into());
            record.insert("parts".to_owned(), parts.into());
        }
        if part == 1 {
            record.insert("regions".to_owned(), regions.clone().into());
        }
        record.insert("trunks".to_owned(), chunks.get(part - 1).copied().unwrap_or_default().to_vec().into());
        let text = Value::Object(record).to_string();
        text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
    };
    (1..=parts).map(line).collect()
}

/// What each part tells of: at least one part, and at least one trunk in all others.
fn chunks(trunks: &[Value]) -> Vec<&[Value]> {
    let (mut chunks, mut rest) = (Vec::new(), trunks);
    while !rest.is_empty() || chunks.is_empty() {
        let mut octets = 0;
        let fits = |trunk: &&Value| {
            octets += trunk.to_string().len();
            octets <= OCTETS
        };
        let count = rest.iter().take(TRUNKS).take_while(fits).count();
        let (chunk, behind) = rest.split_at(count.max(1).min(rest.len()));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

/// Regions that are only leaving are told too: what is open there may still end there.
fn region(config: &Config, region: &Region) -> Value {
    let servers = region.upstream.iter().map(|hop| written(config, hop)).collect::<Vec<_>>();
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("region", region.name.clone().into());
    put("hostname", region.hostname.clone().into());
    put("served", region.served.into());
    put("networks", networks(&region.networks));
    put("servers", servers.into());
    put("relays", region.relays.iter().map(|relay| format!("udp:{relay}")).collect::<Vec<_>>().into());
    put("nearest", region.nearest.iter().map(|&id| config.region(id).name.clone()).collect::<Vec<_>>().into());
    Value::Object(record)
}

/// `None`: it has no networks that a target or media could be in.
fn trunk(config: &Config, trunk: &crate::config::Trunk) -> Option<Value> {
    let outbound = trunk.outbound().map_or(&Networks::NONE, |outbound| &outbound.networks);
    let reach: Networks = outbound.nets().chain(trunk.reach().nets()).collect();
    if reach.is_empty() && trunk.media().is_empty() {
        return None;
    }
    let project = &config.project(trunk.project).name;
    Some(json!({ "project": project, "trunk": &*trunk.name, "networks": networks(&reach), "media": networks(trunk.media()) }))
}

fn networks(networks: &Networks) -> Value {
    networks.nets().map(|net| net.to_string()).collect::<Vec<_>>().into()
}

fn written(config: &Config, hop: &Hop) -> String {
    match *hop {
        Hop::Address { addr, transport } => {
            let transport = transport.map(|of: Transport| format!(";transport={}", of.token())).unwrap_or_default();
            format!("sip:{addr}{transport}")
        }
        Hop::Name(id) => {
            config.names.get(id.0 as usize).cloned().map(Written::Name).map(|name| name.to_string()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_told_in_parts() {
        let lengths = |trunks: &[Value]| chunks(trunks).iter().map(|chunk| chunk.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0]);
        assert_eq!(lengths(&vec![json!(1); 2 * TRUNKS + 1]), [TRUNKS, TRUNKS, 1]);
        let half = json!("x".repeat(OCTETS / 2 - 2));
        let longer = json!("x".repeat(OCTETS));
        assert_eq!(lengths(&[half.clone(), half.clone(), half.clone(), longer, half]), [2, 1, 1, 1]);
    }
}
