//! Configurations for a site.

use super::Site;

/// A configuration in parts; each part is TOML text.
pub(crate) struct Plan {
    /// The regions served, as an array.
    pub(crate) serve: String,
    /// Keys before the first table.
    pub(crate) top: String,
    /// The listeners of `eu`, as an array.
    pub(crate) listen: String,
    /// The upstream of `eu`.
    pub(crate) upstream: String,
    /// More keys of `eu`.
    pub(crate) eu: String,
    /// More keys of `us`.
    pub(crate) us: String,
    /// The projects.
    pub(crate) projects: String,
    /// Further tables.
    pub(crate) more: String,
    /// How health is kept: by calls alone unless a test is about probes, so that a server sees calls and nothing else.
    pub(crate) health: String,
}

impl Plan {
    /// Region `eu` at the door with one upstream, `us` elsewhere, project `acme` pinned to `eu` with one carrier.
    pub(crate) fn new(site: &Site) -> Self {
        let door = site.door();
        let carrier = Site::network(site.carrier(0));
        Self {
            serve: "[\"eu\"]".into(),
            top: String::new(),
            listen: format!("[\"udp:{door}\", \"tcp:{door}\"]"),
            upstream: format!("\"sip:{}\"", site.eu(10)),
            eu: String::new(),
            us: String::new(),
            projects: format!(
                "[project.acme]\npin = [\"eu\"]\n[project.acme.trunk.carrier]\nnetworks = [\"{carrier}\"]\nmedia = [\"{carrier}\"]\n"
            ),
            more: String::new(),
            health: "interval = \"0s\"".into(),
        }
    }

    /// Adds a project whose one trunk has these keys, on the carrier's networks.
    pub(crate) fn project(&mut self, site: &Site, name: &str, keys: &str, trunk: &str) {
        let carrier = Site::network(site.carrier(0));
        let text = format!(
            "[project.{name}]\n{keys}\n[project.{name}.trunk.carrier]\nnetworks = [\"{carrier}\"]\nmedia = [\"{carrier}\"]\n{trunk}\n"
        );
        self.projects.push_str(&text);
    }

    /// The file.
    pub(crate) fn text(&self, site: &Site) -> String {
        let Self { serve, top, listen, upstream, eu, us, projects, more, health } = self;
        let (eu_net, us_net) = (Site::network(site.eu(0)), Site::network(site.us(0)));
        let (us_upstream, admin) = (site.us(10), Self::admin(site));
        // What a test sends from one address is no flood unless it says so.
        let rate = "[limits]\nper_source = \"1000000/s\"\n";
        let more = match more {
            more if more.contains("per_source = ") => more.clone(),
            more if more.contains("[limits]\n") => more.replacen("[limits]\n", rate, 1),
            more => format!("{more}\n{rate}"),
        };
        format!(
            "serve = {serve}\nglobal = \"sip.example.com\"\n{top}\n\
             [region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = {listen}\nnetworks = [\"{eu_net}\"]\nupstream = {upstream}\n{eu}\n\
             [region.us]\nhostname = \"us.sip.example.com\"\nnetworks = [\"{us_net}\"]\nupstream = \"sip:{us_upstream}\"\n{us}\n\
             {projects}\n[admin]\nlisten = \"{admin}\"\n[secret]\nfile = \"ringfence.key\"\n[health]\n{health}\n{more}\n"
        )
    }

    /// Where the daemon's metrics are on this site.
    pub(crate) fn admin(site: &Site) -> std::net::SocketAddr {
        (site.eu(1).ip(), 9090).into()
    }
}
