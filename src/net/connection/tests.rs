//! What a connection carries, and which one makes room for another.

use std::path::Path;
use std::rc::Rc;

use super::super::outgoing::Outgoing;
use super::*;
use crate::config::TrunkId;
use crate::core::io::Destination;
use crate::dns::Resolved;
use crate::fence::Fence;

const PEER: &str = "192.0.2.7:5061";

fn config() -> Arc<Config> {
    let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
         networks = [\"10.0.0.0/8\"]\nupstream = \"10.0.0.1\"\n[project.acme.trunk.one]\nnetworks = [\"192.0.2.0/24\"]\n\
         [project.other.trunk.two]\nnetworks = [\"198.51.100.0/24\"]\n";
    Arc::new(crate::config::parse(Path::new("test.toml"), text).unwrap())
}

fn made(transport: Transport) -> Made {
    let (listener, region, peer, holder) = (ListenerId(0), RegionId(0), PEER.parse().unwrap(), Holder::Stranger);
    let (accepted, now, tls_name, party, opened_for) = (false, Instant::now(), None, None, OpenedFor::Everybody);
    Made { listener, region, transport, peer, accepted, holder, now, tls_name, party, opened_for, alone: false, most: 1000 }
}

fn party(names: &[&str]) -> PartyNames {
    names.iter().map(|&name| Arc::from(name)).collect()
}

/// Something to send to the peer.
fn send(config: &Config) -> Send {
    let to = Fence::of_region(&config.trunk(TrunkId(0)).networks).admit(PEER.parse().unwrap()).unwrap();
    Send {
        to: Destination::Fenced(to),
        transport: Transport::Tls,
        tls_name: None,
        party: None,
        in_dialog: false,
        origin: None,
        trunk: None,
        listener: ListenerId(0),
        local: None,
        bytes: Bytes::new(),
        attempt: None,
        instead: None,
    }
}

#[test]
fn what_was_opened_for_one_name_carries_nothing_for_another() {
    let config = config();
    let of = |tls_name: Option<&str>, party: Option<PartyNames>| {
        Connection::new(ConnectionId(1), Made { tls_name: tls_name.map(Arc::from), party, ..made(Transport::Tls) })
    };
    let to = |tls_name: Option<&str>, party| Send { tls_name: tls_name.map(Arc::from), party, ..send(&config) };
    let (named, by_address, by_party) = (of(Some("a.example"), None), of(None, None), of(None, Some(party(&["a.example"]))));
    for (message, carried) in [
        (to(Some("a.example"), None), [true, false, false]),
        (to(Some("b.example"), None), [false, false, false]),
        (to(None, None), [false, true, false]),
        (to(None, Some(party(&["a.example"]))), [true, true, true]),
        (to(None, Some(party(&["b.example"]))), [false, true, false]),
    ] {
        let found = [&named, &by_address, &by_party].map(|connection| connection.carries(&message, &config));
        assert_eq!(found, carried, "{message:?}");
    }
    assert!(Connection::new(ConnectionId(2), made(Transport::Tcp)).carries(&to(Some("b.example"), None), &config));
}

#[test]
fn a_client_that_proved_nothing_gets_no_request_but_inside_its_own_dialog() {
    let config = config();
    let of = |names: &[&str]| {
        let shown = Shown::new(None, names.iter().map(|name| Name::of(name.as_bytes())), |_| true);
        let holder = Holder::proven(&config, RegionId(0), PEER.parse::<SocketAddr>().unwrap().ip(), Some(&shown));
        let connection = Connection::new(ConnectionId(1), Made { accepted: true, holder, ..made(Transport::Tls) });
        connection.shown.set(Some(shown));
        connection
    };
    let (nobody, proven) = (of(&[]), of(&["a.example"]));
    let carried = |message: &Send| [nobody.carries(message, &config), proven.carries(message, &config)];
    assert_eq!(carried(&send(&config)), [false, false]);
    assert_eq!(carried(&Send { tls_name: Some(Arc::from("a.example")), ..send(&config) }), [false, true]);
    assert_eq!(carried(&Send { tls_name: Some(Arc::from("b.example")), ..send(&config) }), [false, false]);
    assert_eq!(carried(&Send { party: Some(party(&["b.example", "a.example"])), ..send(&config) }), [false, true]);
    let inside = |trunk| Send { in_dialog: true, trunk: Some(TrunkId(trunk)), ..send(&config) };
    assert_eq!(carried(&inside(0)), [false, false], "not every connection of the trunk");
    let Destination::Fenced(peer) = send(&config).to else { panic!("a fenced address") };
    let began = |trunk| Send { origin: Some(Arc::new(peer)), ..inside(trunk) };
    assert_eq!((carried(&began(0)), carried(&began(1))), ([true, true], [false, false]), "the trunk that is there");
    let elsewhere = Fence::of_region(&config.trunk(TrunkId(0)).networks).admit(SocketAddr::new(peer.addr().ip(), 1)).unwrap();
    assert_eq!(
        carried(&Send { origin: Some(Arc::new(elsewhere)), ..inside(0) }),
        [false, false],
        "another connection of the same trunk"
    );
}

#[test]
fn a_client_that_proved_its_address_is_at_that_address_alone() {
    let of = |address| {
        let connection = Connection::new(ConnectionId(1), Made { accepted: true, ..made(Transport::Tls) });
        connection.proved_address.set(address);
        [PEER, "192.0.2.7:40000", "192.0.2.8:5061"].map(|addr| connection.is_proved_at(addr.parse().unwrap()))
    };
    assert_eq!((of(false), of(true)), ([false; 3], [true, true, false]));
}

#[test]
fn one_trunks_calls_open_no_more_than_their_share_and_make_room_for_others() {
    let config = config();
    let core = Core::new(Arc::clone(&config), Arc::new(Resolved::unknown(0)), [0; 16], Instant::now());
    let (mut outgoing, mut last) = (Outgoing::default(), 0);
    let mut open = |outgoing: &mut Outgoing, opened_for, most| {
        let given_up = outgoing.make_room(most, opened_for, &core)?;
        last += 1;
        let peer = SocketAddr::from(([192, 0, 2, 7], last));
        let connection = Rc::new(Connection::new(ConnectionId(last.into()), Made { peer, opened_for, ..made(Transport::Tcp) }));
        outgoing.add(&connection);
        Ok::<_, Loss>((connection, given_up.map(|other| other.id.0)))
    };
    let (one, two) = (OpenedFor::Calls(Some(TrunkId(0))), OpenedFor::Calls(Some(TrunkId(1))));
    let (first, none) = open(&mut outgoing, one, 8).unwrap();
    assert_eq!(none, None);
    assert_eq!(open(&mut outgoing, one, 8).unwrap().1, None);
    assert_eq!(open(&mut outgoing, one, 8).unwrap().1, Some(1), "beyond its share: its own that was silent longest");
    outgoing.remove(&first);
    assert_eq!(open(&mut outgoing, two, 8).unwrap().1, None);
    // Where all are taken, whoever has the most makes room; what is everybody's stays.
    for _ in 0..5 {
        assert_eq!(open(&mut outgoing, OpenedFor::Everybody, 8).unwrap().1, None);
    }
    assert_eq!(open(&mut outgoing, OpenedFor::Everybody, 8).unwrap().1, Some(2));
    let (busy, _) = open(&mut outgoing, OpenedFor::Everybody, 8).unwrap();
    busy.write(Bytes::from_static(b"x"), None, Instant::now());
    outgoing.used(&busy, one);
    assert_eq!(busy.opened_for.get(), OpenedFor::Everybody);
    assert!(open(&mut outgoing, OpenedFor::Everybody, 8).unwrap().1.is_some(), "the last that is not everybody's");
    assert_eq!(open(&mut outgoing, OpenedFor::Everybody, 8).err(), Some(Loss::Connect));
}

#[test]
fn what_is_busy_is_not_closed_for_the_next_of_the_same_trunk() {
    let config = config();
    let core = Core::new(Arc::clone(&config), Arc::new(Resolved::unknown(0)), [0; 16], Instant::now());
    let (mut outgoing, one) = (Outgoing::default(), OpenedFor::Calls(Some(TrunkId(0))));
    let connection = Rc::new(Connection::new(ConnectionId(1), Made { opened_for: one, ..made(Transport::Tcp) }));
    connection.write(Bytes::from_static(b"x"), None, Instant::now());
    outgoing.add(&connection);
    assert_eq!(outgoing.make_room(4, one, &core).err(), Some(Loss::TrunkConnections));
    // A reload forgets whose it was; a call of another trunk takes it over.
    outgoing.forget_trunks();
    assert_eq!(connection.opened_for.get(), OpenedFor::Calls(None));
    outgoing.used(&connection, OpenedFor::Calls(Some(TrunkId(1))));
    assert!(outgoing.make_room(4, one, &core).is_ok());
}

#[test]
fn what_is_withdrawn_is_not_written_and_a_torn_message_ends_the_connection() {
    let config = config();
    let connection = Connection::new(ConnectionId(1), made(Transport::Tcp));
    let now = Instant::now();
    for octets in [&b"one"[..], b"two", b"three"] {
        connection.write(Bytes::from_static(octets), Some(Written { send: send(&config), again: false }), now);
    }
    connection.write(Bytes::from_static(b"an answer"), None, now);
    let mut asked = 0;
    let second = |_: &mut Send| {
        asked += 1;
        asked == 2
    };
    assert!(!connection.withdraw(second), "none was begun");
    let left: Vec<_> = connection.queue.borrow().chunks.iter().map(|chunk| chunk.bytes.clone()).collect();
    assert_eq!(left, [&b"two"[..], b"an answer"]);
    assert_eq!(connection.queue.borrow().octets, 12);
    connection.queue.borrow_mut().chunks[0].begun = true;
    assert!(connection.withdraw(|_| false));
    connection.cut();
    assert!(connection.is_flushed() && connection.state.get() == ConnectionState::Broken(Loss::Outside));
}
