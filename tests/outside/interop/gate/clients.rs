//! `LiveKit`'s own SDKs: what each does if it is refused, and where it ends up.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::scene::{HOSTS, PROXIES, Proxy, Scene, node, on_stage, secret, token};
use crate::harness::process::Process;
use crate::interop::chromium::Chromium;
use crate::interop::guide::blocks;
use crate::interop::{python, tree};

const REFUSED: &str = "project not allowed in this region.";

/// `eu` is the region of the project `acme`, `us` is not, and the cloud's name leads to `us`.
const EU: &str = "ws://eu.rtc.example.com";
const US: &str = "ws://us.rtc.example.com";
const CLOUD: &str = "ws://acme.livekit.cloud";

/// What of each SDK's steps ends in a session: how many in `eu`, how many in `us`.
const SESSIONS: (usize, usize) = (3, 1);

/// The code that an application needs on a host of its own, as the documentation gives it.
fn application(language: &str) -> String {
    let text = fs::read_to_string(tree().join("docs/realtime.md")).unwrap();
    let found = blocks(&text, &format!("<!-- application: {language} -->"));
    assert_eq!(found.len(), 1);
    found[0].to_owned()
}

/// Python's and Node's, a step after the other.
struct Client(Process);

impl Client {
    fn begin(scene: &Scene, name: &str, mut command: Command, program: &str, language: &str) -> Self {
        let (acme, free) = (token("APIacme"), token("APIfree"));
        let connect = |does: &str, url: &str, token: &str| json!({ "does": does, "url": url, "token": token });
        let twirp = |url: &str| {
            let (url, key) = (url.replace("ws:", "http:"), "APIacme");
            json!({ "does": "twirp", "url": url, "key": key, "secret": secret(key) })
        };
        let steps = json!([
            connect("connect", US, &acme),
            connect("connect", EU, &acme),
            connect("connect", CLOUD, &acme),
            connect("application", US, &acme),
            connect("application", US, &free),
            twirp(US),
            twirp(CLOUD),
            twirp(EU),
        ]);
        command.arg(tree().join("tests/outside/interop/gate").join(program)).arg(application(language)).arg(steps.to_string());
        Self(Process::start(name, scene.site.directory(), &mut command))
    }

    /// Waits for its end, and looks at what came of its steps.
    fn judge(mut self) {
        let ended = self.0.join();
        let output = self.0.output();
        assert!(ended.success(), "{ended}: {output}");
        let results: Vec<String> = serde_json::from_str(output.lines().last().unwrap()).unwrap();
        let [wrong, right, cloud, helped, first, twirp, twirp_cloud, twirp_right] = &results[..] else { panic!("{output}") };
        assert!(wrong.contains("403") && wrong.ends_with(REFUSED), "{wrong}");
        assert_eq!([right, cloud, helped, first], ["connected"; 4], "{output}");
        for refused in [twirp, twirp_cloud] {
            assert!(refused.contains(" 451 permission_denied ") && refused.ends_with(REFUSED), "{refused}");
        }
        assert_eq!(twirp_right, "answered");
    }
}

/// The same steps for livekit-client in a browser, which alone says where it is.
fn browser(chromium: &mut Chromium) {
    chromium.open("http://page.example.com:7880/", 1280, "light");
    let sdk = tree().join("target/peers/node/node_modules/livekit-client/dist/livekit-client.umd.js");
    for text in [fs::read_to_string(sdk).unwrap(), application("javascript"), include_str!("page.js").to_owned()] {
        chromium.value(&format!("{text}\n0"));
    }
    let (acme, free) = (token("APIacme"), token("APIfree"));
    let mut step = |does: &str, url: &str, token: &str| {
        let result = chromium.awaited(&format!("step('{does}', '{url}', '{token}')"));
        result.as_str().unwrap().to_owned()
    };
    let refused = step("connect", US, &acme);
    assert!(refused.starts_with("ConnectionError 403 ") && refused.ends_with(REFUSED), "{refused}");
    assert_eq!(step("connect", EU, &acme), "connected eu");
    assert_eq!(step("connect", CLOUD, &acme), "connected eu");
    assert_eq!(step("application", US, &acme), "connected eu");
    assert_eq!(step("application", US, &free), "connected us");
    // Nobody has its key: it is not looked for elsewhere.
    let unknown = step("connect", CLOUD, &token("APInone"));
    assert!(unknown.starts_with("ConnectionError 401 "), "{unknown}");
    let mut twirp = |url: &str| chromium.awaited(&format!("twirp('{}', '{acme}')", url.replace("ws:", "http:")));
    assert_eq!(twirp(US), format!("451 {{\"code\":\"permission_denied\",\"msg\":\"{REFUSED}\"}}"));
    assert_eq!(twirp(EU), "200 {}");
}

/// A session that runs while the gate hangs, and while the pin changes: what it notices when its signalling is cut.
fn stays(scene: &mut Scene, chromium: &mut Chromium) {
    let us = 1;
    let stayed = chromium.awaited(&format!("stay('{US}', '{}')", token("APIfree")));
    assert_eq!(stayed, "us");
    scene.gates[us].signal("STOP");
    scene.begin(Proxy::Nginx);
    let refused = |event: &Value| {
        let answer = &event["params"]["response"];
        answer["status"] == 500 && answer["url"].as_str().is_some_and(|url| url.contains("/validate"))
    };
    while !refused(&chromium.event("Network.responseReceived")) {}
    scene.gates[us].signal("CONT");
    assert_eq!(chromium.awaited("back"), "us", "it has come again until it got back");

    scene.repin(us);
    assert_eq!(chromium.value("room.state"), "connected");
    let before = scene.asked().len();
    scene.begin(Proxy::Nginx);
    assert_eq!(chromium.awaited("ended"), "disconnected");
    assert_eq!(scene.asked().len(), before);
}

#[test]
fn every_sdk_is_refused_outside_and_connected_inside() {
    on_stage(|scene| {
        let rules: Vec<String> = HOSTS.iter().map(|(name, ip)| format!("MAP {name} {ip}")).collect();
        let mut chromium = Chromium::start_with(&scene.site, &format!("--host-resolver-rules='{}'", rules.join(",")));
        for proxy in PROXIES {
            println!("{proxy:?}");
            scene.begin(proxy);
            let clients = [
                Client::begin(scene, "python", python(), "clients.py", "python"),
                Client::begin(scene, "node", node(), "clients.mjs", "javascript"),
            ];
            browser(&mut chromium);
            clients.into_iter().for_each(Client::judge);
            let asked = scene.asked();
            let sessions = |region: &str| asked.iter().filter(|of| of["region"] == region && of["status"] == 101).count();
            assert_eq!((sessions("eu"), sessions("us")), (3 * SESSIONS.0, 3 * SESSIONS.1), "{}", Value::from(asked.clone()));
            scene.assert_pinned();
            scene.forget();
        }
        stays(scene, &mut chromium);
    });
}
