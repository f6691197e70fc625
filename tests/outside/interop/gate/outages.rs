//! A gate that hangs, drains or is gone: nothing passes, in time.

use super::raw::{Answer, ask};
use super::scene::{PROXIES, Proxy, door, on_stage, token};
use crate::harness::{Ask, Leg};

/// A client that may, at the region `eu`.
fn asked() -> Answer {
    ask(door(1), "GET", "/rtc/v1/validate", &[&format!("Authorization: Bearer {}", token("APIacme"))], "")
}

/// The code and, if the answer is not the proxy's own, that a browser may read it.
fn assert_refused(proxy: Proxy, caddy: u16, nginx: u16) {
    let answer = asked();
    assert_eq!(answer.code, if proxy == Proxy::Caddy { caddy } else { nginx }, "{proxy:?}: {answer:?}");
    if proxy == Proxy::Nginx || answer.code == 503 {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    }
    if answer.code == 503 {
        assert_eq!(answer.body, "shutting down, try again.", "{answer:?}");
        assert!(answer.header("x-ringfence").is_some_and(|row| row.starts_with("161; ")), "{answer:?}");
    }
}

#[test]
fn nothing_passes_without_a_yes() {
    on_stage(|scene| {
        for proxy in PROXIES {
            scene.begin(proxy);
            assert_eq!(asked().code, 200, "{proxy:?}");
            // The proxy gives up after its own two seconds; nobody else does.
            scene.gates[0].signal("STOP");
            assert_refused(proxy, 504, 500);
            scene.gates[0].signal("CONT");
            assert_eq!(asked().code, 200, "{proxy:?}");
        }

        // A call that rings holds the end of the daemon up.
        let (carrier, gate) = (([127, 0, 3, 20], 5060).into(), ([127, 0, 1, 3], 5060).into());
        let (mut caller, mut callee) = (Leg::udp(carrier, gate), Leg::udp(([127, 0, 1, 10], 5060).into(), gate));
        let invite = Ask::invite("sip:+4930222@acme.eu.sip.example.com", caller.addr, "udp", carrier.ip());
        caller.ask(&invite);
        let rings = callee.request("INVITE");
        callee.send(&rings.answer("180 Ringing", "callee", &[], ""));
        caller.expect(180);
        scene.gates[0].signal("TERM");
        crate::harness::await_some("the drain", || (scene.gates[0].get("/readyz").0 == 503).then_some(()));
        for proxy in PROXIES {
            scene.begin(proxy);
            assert_refused(proxy, 503, 503);
        }
        callee.send(&rings.answer("486 Busy Here", "callee", &[], ""));
        let busy = caller.expect(486);
        caller.ask(&invite.ack(&busy));
        callee.request("ACK");
        assert!(scene.gates[0].wait().success());
        for proxy in PROXIES {
            scene.begin(proxy);
            assert_refused(proxy, 502, 500);
        }
    });
}
