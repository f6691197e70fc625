//! Other readers of session descriptions, each with its own leniency: whatever any of them would send media to must have been asked
//! about.
//!
//! Two are other people's crates. The third is as naive as deployed ones are: it trims, skips what it does not know, looks at no type and
//! at no version.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::net::IpAddr;

/// A description as a reader understands it.
#[derive(Debug, Default)]
pub(crate) struct Understood {
    pub(crate) connections: Vec<String>,
    pub(crate) attributes: Vec<String>,
    pub(crate) streams: Vec<Stream>,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) open: bool,
    pub(crate) connections: Vec<String>,
    pub(crate) attributes: Vec<String>,
}

/// Every address that a reader of these would send media to.
pub(crate) fn places(text: &[u8]) -> BTreeSet<IpAddr> {
    let readers = [naive(text)].into_iter().chain(by_sdp(text)).chain(by_sdp_types(text));
    readers.flat_map(|understood| understood.places()).filter(|ip| !ip.is_unspecified()).collect()
}

/// What the most naive reader alone would.
pub(crate) fn naive_places(text: &[u8]) -> BTreeSet<IpAddr> {
    naive(text).places().into_iter().filter(|ip| !ip.is_unspecified()).collect()
}

impl Understood {
    pub(crate) fn places(&self) -> BTreeSet<IpAddr> {
        let mut found = BTreeSet::new();
        found.extend(self.attributes.iter().flat_map(|attribute| attribute_places(attribute, true)));
        for stream in &self.streams {
            let bundled = stream.attributes.iter().any(|attribute| attribute.trim() == "bundle-only");
            let open = stream.open || bundled;
            found.extend(stream.attributes.iter().flat_map(|attribute| attribute_places(attribute, open)));
            if open {
                // The first `c=`, or the last.
                found.extend(self.connections.iter().chain(&stream.connections).filter_map(|text| last_address(text)));
            }
        }
        found
    }
}

fn last_address(text: &str) -> Option<IpAddr> {
    text.split_whitespace().next_back()?.parse().ok()
}

/// Where an attribute leads; `open`: whether its stream is.
fn attribute_places(attribute: &str, open: bool) -> Vec<IpAddr> {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    let words: Vec<&str> = value.split_whitespace().collect();
    let at = |places: &mut dyn Iterator<Item = usize>| -> Vec<IpAddr> {
        places.filter_map(|place| words.get(place)?.parse().ok()).collect()
    };
    match name.trim().to_ascii_lowercase().as_str() {
        "candidate" => at(&mut [4].into_iter()),
        "remote-candidates" => at(&mut (1..words.len()).step_by(3)),
        "rtcp" if open => at(&mut [3].into_iter()),
        "alt" if open => at(&mut [words.len().wrapping_sub(2)].into_iter()),
        _ => Vec::new(),
    }
}

fn naive(text: &[u8]) -> Understood {
    let text = String::from_utf8_lossy(text);
    let mut found = Understood::default();
    for line in text.split(['\r', '\n']).map(str::trim) {
        let Some((kind, value)) = line.split_once('=') else { continue };
        let (connections, attributes) = match found.streams.last_mut() {
            Some(stream) => (&mut stream.connections, &mut stream.attributes),
            None => (&mut found.connections, &mut found.attributes),
        };
        match kind {
            "c" => connections.push(value.to_owned()),
            "a" => attributes.push(value.to_owned()),
            "m" => {
                let port = value.split_whitespace().nth(1).unwrap_or_default();
                let number: String = port.chars().take_while(char::is_ascii_digit).collect();
                found.streams.push(Stream { open: number.parse::<u32>().is_ok_and(|port| port != 0), ..Stream::default() });
            }
            _ => {}
        }
    }
    found
}

/// Crate `sdp`, of webrtc-rs.
fn by_sdp(text: &[u8]) -> Option<Understood> {
    let session = sdp::SessionDescription::unmarshal(&mut Cursor::new(text)).ok()?;
    let attribute = |attribute: &sdp::description::common::Attribute| match &attribute.value {
        Some(value) => format!("{}:{value}", attribute.key),
        None => attribute.key.clone(),
    };
    let connection = |connection: &sdp::description::common::ConnectionInformation| {
        connection.address.as_ref().map(|address| address.address.clone())
    };
    Some(Understood {
        connections: session.connection_information.iter().filter_map(connection).collect(),
        attributes: session.attributes.iter().map(attribute).collect(),
        streams: session
            .media_descriptions
            .iter()
            .map(|media| Stream {
                open: media.media_name.port.value != 0,
                connections: media.connection_information.iter().filter_map(connection).collect(),
                attributes: media.attributes.iter().map(attribute).collect(),
            })
            .collect(),
    })
}

/// Crate `sdp-types`.
fn by_sdp_types(text: &[u8]) -> Option<Understood> {
    let session = sdp_types::Session::parse(text).ok()?;
    let attribute = |attribute: &sdp_types::Attribute| match &attribute.value {
        Some(value) => format!("{}:{value}", attribute.attribute),
        None => attribute.attribute.clone(),
    };
    let connection = |connection: &sdp_types::Connection| connection.connection_address.clone();
    Some(Understood {
        connections: session.connection.iter().map(connection).collect(),
        attributes: session.attributes.iter().map(attribute).collect(),
        streams: session
            .medias
            .iter()
            .map(|media| Stream {
                open: media.port != 0,
                connections: media.connections.iter().map(connection).collect(),
                attributes: media.attributes.iter().map(attribute).collect(),
            })
            .collect(),
    })
}
