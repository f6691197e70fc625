//! `ringfence demo`: the daemon between a carrier and two regions on loopback, four calls, their ladders and verdicts.
//!
//! It runs the same daemon as `run`, with a configuration of its own, and decides nothing. All traffic stays within 127.0.0.0/8.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket as StdUdpSocket};
use std::path::Path;
use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::cli::color::{Colors, Tint};
use crate::config::{self, Config};
use crate::net::Daemon;
use crate::reason::{Class, Profile, Reason};
use actor::{Call, PATIENCE, Seen, Trunk, Upstream, Witness, unread};
use ladder::{Lane, Log};

mod actor;
mod ladder;

const EDGE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const EU: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 2);
const US: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);
const CARRIER: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

/// One call and what must come of it.
struct Scene {
    title: &'static str,
    host: &'static str,
    media: &'static str,
    expected: Reason,
}

const SCENES: [Scene; 4] = [
    Scene {
        title: "a call inside the region: endpoint, project and media are the eu's",
        host: "acme.eu.sip.example.com",
        media: "127.0.4.7",
        expected: Reason::InRegion,
    },
    Scene {
        title: "a call for the us endpoint that came to the eu",
        host: "acme.us.sip.example.com",
        media: "127.0.4.7",
        expected: Reason::ForeignEndpoint,
    },
    Scene {
        title: "a call whose media would come from the us",
        host: "acme.eu.sip.example.com",
        media: "127.0.2.9",
        expected: Reason::ForeignMediaOffer,
    },
    Scene {
        title: "a call of a project that is pinned to the us",
        host: "globex.eu.sip.example.com",
        media: "127.0.4.7",
        expected: Reason::PinnedElsewhere,
    },
];

/// The profile that makes the demonstration's carrier stop.
const PROFILE: &str = "twilio";

fn configuration(edge: SocketAddr, eu: SocketAddr, us: SocketAddr, admin: SocketAddr) -> String {
    let carrier = "networks = [\"127.0.3.0/24\"]\nmedia = [\"127.0.4.0/24\"]";
    format!(
        r#"serve = ["eu"]
global = "sip.example.com"
reject = "{PROFILE}"

[region.eu]
hostname = "eu.sip.example.com"
listen = ["udp:{edge}", "tcp:{edge}"]
networks = ["127.0.1.0/24"]
upstream = "{eu}"

[region.us]
hostname = "us.sip.example.com"
networks = ["127.0.2.0/24"]
upstream = "{us}"

[project.acme]
pin = ["eu"]
[project.acme.trunk.carrier]
{carrier}

[project.globex]
pin = ["us"]
[project.globex.trunk.carrier]
{carrier}

[admin]
listen = "{admin}"

# The ladders show the calls, and the witness that nothing else came.
[health]
interval = "0s"
"#
    )
}

/// All actors, each with its socket.
struct Stage {
    trunk: Trunk,
    upstream: Upstream,
    witness: Witness,
    admin: SocketAddr,
    config: Arc<Config>,
}

impl Stage {
    async fn set() -> Result<Self, String> {
        let edge = free(EDGE).map_err(|error| format!("no free port on {EDGE}: {error}"))?;
        let admin = free(Ipv4Addr::LOCALHOST).map_err(|error| format!("no free port: {error}"))?;
        let (upstream, witness, carrier) = (bound(EU).await?, bound(US).await?, bound(CARRIER).await?);
        let place = |socket: &UdpSocket| socket.local_addr().map_err(|error| error.to_string());
        let text = configuration(edge, place(&upstream)?, place(&witness)?, admin);
        let config = config::parse(Path::new("demo.toml"), &text).map_err(|error| error.to_string())?;
        Ok(Self {
            trunk: Trunk { socket: carrier, edge },
            upstream: Upstream { socket: upstream },
            witness: Witness { socket: witness },
            admin,
            config: Arc::new(config),
        })
    }
}

async fn bound(ip: Ipv4Addr) -> Result<UdpSocket, String> {
    UdpSocket::bind((ip, 0)).await.map_err(|error| format!("{ip} cannot be used: {error}"))
}

/// A port that is free for UDP and TCP. The daemon binds it a moment later; on loopback nobody takes it in between.
fn free(ip: Ipv4Addr) -> io::Result<SocketAddr> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..16 {
        let addr = StdUdpSocket::bind((ip, 0))?.local_addr()?;
        match TcpListener::bind(addr) {
            Ok(_) => return Ok(addr),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Runs the demonstration. `true`: every call ended as it should.
pub(crate) fn run(once: bool) -> Result<bool, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    let stage = runtime.block_on(Stage::set())?;
    // The daemon has threads of its own, and must be dropped outside the runtime.
    let daemon = Daemon::start(Arc::clone(&stage.config)).map_err(|error| error.to_string())?;
    if !daemon.ready(PATIENCE) {
        return Err(format!("the daemon is not ready: {}", daemon.missing().join(", ")));
    }
    let colors = Colors::on(io::stdout().is_terminal());
    say(&opening(&stage, colors));
    let good = runtime.block_on(play(&stage, colors));
    say(&closing(&stage, good, once, colors));
    if !once {
        runtime.block_on(tokio::signal::ctrl_c()).map_err(|error| format!("cannot wait for Ctrl-C: {error}"))?;
    }
    Ok(good)
}

/// Prints at once. An error is ignored: the reader has closed the pipe.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Places every call and shows it. `true`: all ended as they should.
async fn play(stage: &Stage, colors: Colors) -> bool {
    let log = Log::default();
    let told = RefCell::new(None);
    let mut good = true;
    for (number, scene) in (1..).zip(&SCENES) {
        let call = Call { host: scene.host, media: scene.media, number };
        // The trunk is polled first, so that the ladder shows the 100 before the upstream's answers.
        let answer = tokio::select! {
            biased;
            answer = stage.trunk.call(call, &log) => answer,
            error = stage.upstream.serve(&log, |value| *told.borrow_mut() = Some(value.to_owned())) => Err(error.to_string()),
        };
        let settled = stage.trunk.settle("eu.sip.example.com", number).await;
        let answer = settled.and(answer);
        // Every forwarded packet has arrived by now.
        unread(&stage.upstream.socket, Lane::Eu, &log);
        let leaked = unread(&stage.witness.socket, Lane::Us, &log);
        let steps = log.take();
        let reached = steps.iter().any(|step| step.to == Lane::Eu);
        let verdict = judge(scene, &answer, told.take().as_deref(), reached, leaked);
        let title = format!("{number}. {}", scene.title);
        let ladder = ladder::draw(&steps, colors);
        say(&format!("{}\n{ladder}{}\n", colors.text(Tint::Bold, title), shown(scene, &answer, &verdict, colors)));
        good &= verdict.is_ok();
    }
    good
}

/// The `X-Ringfence` of an accepted call, or what is wrong.
fn judge(
    scene: &Scene,
    answer: &Result<Seen, String>,
    told: Option<&str>,
    reached: bool,
    leaked: usize,
) -> Result<String, String> {
    let answer = answer.as_ref().map_err(Clone::clone)?;
    if leaked > 0 {
        return Err(format!("{leaked} packets reached the us"));
    }
    let reason = scene.expected;
    let start = format!("{}; reason={}; region=eu", reason.id(), reason.token());
    let field = |name: &str, value: Option<&str>, expected: &str| match value {
        Some(value) if value.contains(expected) => Ok(value.to_owned()),
        Some(value) => Err(format!("{name} is `{value}`, not `{expected}`")),
        None => Err(format!("{name} is missing")),
    };
    if reason.class() == Class::Accepted {
        return match answer.code() {
            Some(200) => field("X-Ringfence at the upstream", told, &format!("{start}; project=acme; trunk=carrier")),
            _ => Err(format!("it was answered {}", answer.line)),
        };
    }
    if reached {
        return Err("it reached the eu upstream".to_owned());
    }
    let code = Profile::named(PROFILE).unwrap_or(Profile::GENERIC).code(reason, true);
    if answer.code() != Some(code) {
        return Err(format!("it was answered {}, not {code}", answer.line));
    }
    field("Warning", answer.value("Warning"), "399 eu.sip.example.com \"")?;
    field("Reason", answer.value("Reason"), &format!("text=\"{}\"", reason.token()))?;
    field("X-Ringfence", answer.value("X-Ringfence"), &start)
}

/// The verdict, beneath a ladder.
fn shown(scene: &Scene, answer: &Result<Seen, String>, verdict: &Result<String, String>, colors: Colors) -> String {
    let mut out = String::new();
    let reason = scene.expected;
    // Writing to a string cannot fail.
    let _ = match (verdict, answer) {
        (Err(wrong), _) => writeln!(out, "  {}", colors.text(Tint::Red, format!("not as it should be: {wrong}"))),
        (Ok(told), _) if reason.class() == Class::Accepted => {
            let verdict = colors.text(Tint::Green, format!("accepted: {} {}", reason.id(), reason.token()));
            writeln!(out, "  {verdict}\n  the upstream was told  X-Ringfence: {told}")
        }
        (Ok(_), Ok(answer)) => {
            let verdict = format!("refused: {} {}", reason.id(), reason.token());
            let _ = writeln!(out, "  {}\n  {}", colors.text(Tint::Yellow, verdict), answer.line);
            for name in ["Warning", "X-Ringfence", "Reason"] {
                let _ = writeln!(out, "  {name}: {}", answer.value(name).unwrap_or_default());
            }
            Ok(())
        }
        (Ok(_), Err(error)) => writeln!(out, "  {error}"),
    };
    out
}

fn opening(stage: &Stage, colors: Colors) -> String {
    let place = |socket: &UdpSocket| socket.local_addr().map_or_else(|error| error.to_string(), |addr| addr.to_string());
    format!(
        "{}\n  eu.sip.example.com  served at {}, its SIP server at {}\n  us.sip.example.com  not served here, its SIP server at {}\n  \
         project acme is pinned to eu, globex to us; both have a trunk to the carrier at {}\n\n",
        colors.text(Tint::Bold, "ringfence demo: one daemon, two regions, one carrier, all on loopback"),
        stage.trunk.edge,
        place(&stage.upstream.socket),
        place(&stage.witness.socket),
        place(&stage.trunk.socket),
    )
}

fn closing(stage: &Stage, good: bool, once: bool, colors: Colors) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = if good {
        writeln!(out, "{}", colors.text(Tint::Green, "The us upstream received 0 packets."))
    } else {
        writeln!(out, "{}", colors.text(Tint::Red, "Not every call ended as it should."))
    };
    if !once {
        let admin = stage.admin;
        let _ = writeln!(out, "\nThe daemon is still up. Open http://{admin}/ in a browser, or ask it:");
        let _ = writeln!(out, "  curl -s http://{admin}/metrics | grep verdicts_total | grep -v ' 0$'");
        let _ = writeln!(out, "  curl -s http://{admin}/metrics | grep responses_total | grep -v ' 0$'");
        let _ = writeln!(out, "  curl -s http://{admin}/readyz");
        let _ = writeln!(out, "Ctrl-C ends it.");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stage_can_be_set() {
        let stage = Stage::set().await.unwrap();
        let config = &stage.config;
        assert_eq!(config.listeners.len(), 2);
        assert_eq!(config.listeners[0].addr, stage.trunk.edge);
        assert_eq!(config.admin, Some(stage.admin));
        // Both projects share the carrier, so that only the endpoint's label tells them apart.
        assert_eq!(config.caller_table.trunks(CARRIER.into()).iter().count(), 2);
        assert!(opening(&stage, Colors::on(false)).contains(&stage.trunk.edge.to_string()));
        assert!(closing(&stage, true, false, Colors::on(false)).contains(&format!("http://{}/metrics", stage.admin)));
    }

    #[test]
    fn only_what_came_as_it_should_is_good() {
        let [taken, refused, ..] = &SCENES;
        let told = "100; reason=in-region; region=eu; project=acme; trunk=carrier";
        let ok = || Ok(Seen::of("SIP/2.0 200 OK", 200, &[]));
        assert!(judge(taken, &ok(), Some(told), true, 0).is_ok());
        let wrong = |verdict: Result<String, String>, what: &str| {
            let wrong = verdict.unwrap_err();
            assert!(wrong.contains(what), "{wrong}");
        };
        wrong(judge(taken, &ok(), Some(told), true, 1), "1 packets reached the us");
        wrong(judge(taken, &ok(), None, true, 0), "X-Ringfence at the upstream is missing");
        wrong(judge(taken, &ok(), Some("101; reason=failover; region=eu"), true, 0), "101");
        wrong(judge(taken, &Ok(Seen::of("SIP/2.0 503 No", 503, &[])), None, false, 0), "503");
        wrong(judge(taken, &Err("no answer came".to_owned()), None, false, 0), "no answer came");

        let rows = [
            ("Warning", "399 eu.sip.example.com \"a sentence\""),
            ("X-Ringfence", "110; reason=foreign-endpoint; region=eu"),
            ("Reason", "Q.850;cause=21;text=\"foreign-endpoint\""),
        ];
        let line = "SIP/2.0 603 Call Belongs To Another Region";
        let answer = |code, rows: &[(&str, &str)]| Ok(Seen::of(line, code, rows));
        let verdict = judge(refused, &answer(603, &rows), None, false, 0);
        assert_eq!(verdict.as_deref(), Ok("110; reason=foreign-endpoint; region=eu"));
        let drawn = shown(refused, &answer(603, &rows), &verdict, Colors::on(false));
        assert!(drawn.contains("refused: 110 foreign-endpoint\n  SIP/2.0 603 Call") && drawn.contains("a sentence"), "{drawn}");
        wrong(judge(refused, &answer(503, &rows), None, false, 0), "not 603");
        wrong(judge(refused, &answer(603, &rows), None, true, 0), "reached the eu");
        for missing in 0..rows.len() {
            let mut rest = rows.to_vec();
            let (name, _) = rest.remove(missing);
            wrong(judge(refused, &answer(603, &rest), None, false, 0), &format!("{name} is missing"));
        }
    }
}
