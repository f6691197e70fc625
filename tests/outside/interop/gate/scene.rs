//! Two regions: in each a livekit-server, a gate that decides for it, and a proxy that asks it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use crate::harness::process::Process;
use crate::harness::{Daemon, Site, await_some};
use crate::interop::apart::{apart, with_mounts};
use crate::interop::{await_tcp, run, tree};

/// A region's name, and the third octet of its addresses.
type Region = (&'static str, u8);

const REGIONS: [Region; 2] = [("eu", 1), ("us", 2)];

/// Who is where: the regions under names of an operator's own, and a name of `LiveKit`'s cloud, at which the SDKs look for other regions.
/// It leads to `us`. `page` is livekit-server itself, for a browser's first page.
pub(super) const HOSTS: [(&str, &str); 4] = [
    ("eu.rtc.example.com", "127.0.1.1"),
    ("us.rtc.example.com", "127.0.2.1"),
    ("acme.livekit.cloud", "127.0.2.1"),
    ("page.example.com", "127.0.9.2"),
];

/// Which proxy stands before the regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Proxy {
    Caddy,
    Nginx,
}

pub(super) const PROXIES: [Proxy; 2] = [Proxy::Caddy, Proxy::Nginx];

/// What runs. The keys: `APIacme` (pinned to `eu`), `APIbeta` (to `us`), `APIfree` (not pinned).
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) gates: Vec<Daemon>,
    servers: Process,
    /// How many of their lines are no longer of interest.
    forgotten: usize,
    proxy: Option<Process>,
}

/// Runs a test on a scene, in a network where nothing else is.
pub(super) fn on_stage(test: impl FnOnce(&mut Scene) + Send) {
    apart(|| {
        with_mounts(|| {
            // Peer connections want a network interface that is none of the loopback.
            run("ip", &["link", "add", "wire", "type", "veth", "peer", "name", "end"], "");
            run("ip", &["address", "add", "10.99.0.1/24", "dev", "wire"], "");
            run("ip", &["link", "set", "wire", "up"], "");
            run("ip", &["link", "set", "end", "up"], "");
            // What is sent to a gate comes from the gate's own address, in its region, as if it came from 127.0.0.1 to 127.0.0.1.
            for (_, net) in REGIONS {
                run("ip", &["address", "add", &format!("127.0.{net}.3/32"), "dev", "lo"], "");
            }
            test(&mut Scene::new());
        });
    });
}

impl Scene {
    fn new() -> Self {
        let site = Site::claim();
        let hosts: Vec<String> = HOSTS.iter().map(|(name, ip)| format!("{ip} {name}\n")).collect();
        let hosts = site.write("hosts", &format!("127.0.0.1 localhost\n{}", hosts.concat()));
        run("mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"], "");
        let program = tree().join("tests/outside/interop/gate/livekit.mjs");
        let mut command = node();
        command.arg(program).arg("APIacme,APIbeta,APIfree").args([
            "eu=127.0.1.2:7880",
            "us=127.0.2.2:7880",
            "page=127.0.9.2:7880",
        ]);
        let mut servers = Process::start("livekit", site.directory(), &mut command);
        let gates = gates(&site);
        for (_, net) in REGIONS {
            await_tcp(&mut servers, server(net));
        }
        Self { site, gates, servers, forgotten: 0, proxy: None }
    }

    /// Puts a proxy before both regions, set up as `deploy/gate` says, in place of the one that is there.
    pub(super) fn begin(&mut self, proxy: Proxy) {
        self.proxy = None;
        let mut process = match proxy {
            Proxy::Caddy => self.caddy(),
            Proxy::Nginx => self.nginx(),
        };
        for (_, net) in REGIONS {
            await_tcp(&mut process, door(net));
        }
        self.proxy = Some(process);
    }

    fn caddy(&self) -> Process {
        let shipped = shipped("Caddyfile");
        let (options, host) = shipped.split_once("\n}\n\n").expect("global options, and a site");
        let sites =
            REGIONS.map(|(_, net)| placed(host, net, &[("eu.rtc.example.com {", &format!("http:// {{\n\tbind 127.0.{net}.1"))]));
        let file = self.site.write("Caddyfile", &format!("{options}\n\tadmin off\n\tauto_https off\n}}\n{}", sites.concat()));
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", self.site.directory());
        Process::start("caddy", self.site.directory(), &mut command)
    }

    fn nginx(&self) -> Process {
        let snippet = shipped("nginx.conf");
        let servers = REGIONS.map(|(name, net)| {
            let file = self.site.write(&format!("{name}.conf"), &placed(&snippet, net, &[]));
            format!("server {{ listen {}; include {}; }}\n", door(net), file.display())
        });
        let at = self.site.directory().display();
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|of| format!("{of}_temp_path {at}/nginx-{of};\n"));
        let text = format!(
            "daemon off; user root; worker_processes 1; pid {at}/nginx.pid; error_log stderr;\nevents {{}}\n\
             http {{ access_log off;\n{}{}}}\n",
            temporary.concat(),
            servers.concat()
        );
        let file = self.site.write("nginx.conf", &text);
        let mut command = Command::new("nginx");
        command.env("PATH", crate::interop::path()).args(["-e", "stderr", "-p"]).arg(self.site.directory()).arg("-c").arg(file);
        Process::start("nginx", self.site.directory(), &mut command)
    }

    /// The project `free` is pinned to `eu` from now on, as this gate has it.
    pub(super) fn repin(&self, gate: usize) {
        let (name, net) = REGIONS[gate];
        let text = configuration(&self.site, (name, net)).replace("[project.free]\n", "[project.free]\npin = [\"eu\"]\n");
        self.site.write(&format!("{name}.toml"), &text);
        let before = self.gates[gate].reloads("ok");
        self.gates[gate].signal("HUP");
        await_some("the reload", || (self.gates[gate].reloads("ok") > before).then_some(()));
    }

    /// What the regions' livekit-servers have been asked: a line for each request, with the token that it took.
    pub(super) fn asked(&self) -> Vec<Value> {
        let lines = self.servers.output();
        let lines = lines.lines().filter(|line| line.starts_with('{'));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        lines.filter(|line| line["method"].is_string() && line["region"] != "page").skip(self.forgotten).collect()
    }

    /// What they have been asked until now was not asked through a proxy.
    pub(super) fn forget(&mut self) {
        self.forgotten += self.asked().len();
    }

    /// No region's livekit-server has taken a token that its gate refuses, nor one from anywhere but the header that the gate hands on.
    pub(super) fn assert_pinned(&self) {
        let asked = self.asked();
        for request in &asked {
            let exempt = request["source"].is_null();
            let mine = match request["region"].as_str().unwrap() {
                "eu" => ["APIacme", "APIfree"],
                _ => ["APIbeta", "APIfree"],
            };
            let judged = request["source"] == "header" && request["iss"].as_str().is_some_and(|iss| mine.contains(&iss));
            assert!(exempt || judged, "{request}");
        }
    }
}

/// Where a region's proxy listens.
pub(super) fn door(net: u8) -> SocketAddr {
    ([127, 0, net, 1], 80).into()
}

/// Where a region's livekit-server listens.
pub(super) fn server(net: u8) -> SocketAddr {
    ([127, 0, net, 2], 7880).into()
}

/// A gate for each region.
fn gates(site: &Site) -> Vec<Daemon> {
    REGIONS
        .iter()
        .map(|region| Daemon::start_beside(site, region.0, &configuration(site, *region), [127, 0, region.1, 3].into()))
        .collect()
}

fn configuration(site: &Site, (served, octet): Region) -> String {
    site.write("ringfence.key", "a key that only this test knows, long enough\n");
    let regions = REGIONS.map(|(name, net)| {
        let listen = if name == served { format!("listen = [\"udp:127.0.{net}.3:5060\"]\n") } else { String::new() };
        format!(
            "[region.{name}]\nhostname = \"{name}.sip.example.com\"\n{listen}networks = [\"127.0.{net}.0/24\"]\n\
             upstream = \"sip:127.0.{net}.10\"\nrealtime = \"ws://{name}.rtc.example.com\"\n"
        )
    });
    let projects = "[project.acme]\npin = [\"eu\"]\napi_keys = [\"APIacme\"]\n\
                    [project.acme.trunk.carrier]\nnetworks = [\"127.0.3.0/24\"]\nmedia = [\"127.0.3.0/24\"]\n\
                    [project.beta]\npin = [\"us\"]\napi_keys = [\"APIbeta\"]\n[project.free]\napi_keys = [\"APIfree\"]\n";
    format!(
        "serve = [\"{served}\"]\nglobal = \"sip.example.com\"\n{}{projects}[gate]\nlisten = \"127.0.{octet}.3:9100\"\n\
         [admin]\nlisten = \"127.0.{octet}.3:9090\"\n[secret]\nfile = \"ringfence.key\"\n[health]\ninterval = \"0s\"\n\
         [timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\ndrain = \"20s\"\n",
        regions.concat()
    )
}

/// A file that the operator is given.
fn shipped(name: &str) -> String {
    std::fs::read_to_string(tree().join("deploy/gate").join(name)).unwrap()
}

/// The same with a region's addresses in it, and these other changes.
fn placed(text: &str, net: u8, more: &[(&str, &str)]) -> String {
    let (gate, livekit) = (format!("127.0.{net}.3:9100"), format!("127.0.{net}.2:7880"));
    let changes = [&[("127.0.0.1:9100", gate.as_str()), ("127.0.0.1:7880", livekit.as_str())], more].concat();
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in\n{text}");
        text.replace(from, to)
    })
}

/// Node with the packages that `tests/run` has installed.
pub(super) fn node() -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", tree().join("target/peers/node/node_modules"));
    command
}

/// A token of this key for a room, as `LiveKit`'s SDKs make them.
pub(super) fn token(key: &str) -> String {
    signed(&json!({ "alg": "HS256" }).to_string(), &claims(key).to_string(), key)
}

/// What stands in such a token.
pub(super) fn claims(key: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": key, "sub": "somebody", "nbf": now - 10, "exp": now + 600, "video": { "room": "room", "roomJoin": true } })
}

/// Any token, signed with a key's secret.
pub(super) fn signed(head: &str, claims: &str, key: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret(key).as_bytes());
    let signature = hmac::sign(&secret, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// As `livekit.mjs` has it.
pub(super) fn secret(key: &str) -> String {
    format!("secret-of-{key}-which-is-long-enough")
}
