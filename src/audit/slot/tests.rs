//! Records into slots and back, what is cut, and slots that hold anything else.

use proptest::prelude::*;

use super::*;

fn way() -> WayFact<'static> {
    WayFact {
        serving: Some("eu"),
        target: Some((Transport::Tls, "[2001:db8::5]:5061".parse().unwrap())),
        media: ["10.0.0.9".parse().unwrap(), "2001:db8::9".parse().unwrap()].into_iter().collect(),
        media_verdict: Some(Spoken::Outside),
        relay: Some("10.0.0.7:2223".parse().unwrap()),
    }
}

fn verdict() -> VerdictFact<'static> {
    VerdictFact {
        verdict: Verdict::Shadow,
        reason: Reason::ForeignMediaOffer,
        later: true,
        direction: Some(Direction::Out),
        method: Some(b"INVITE"),
        source: Some("192.0.2.1:5060".parse().unwrap()),
        transport: Some(Transport::Tcp),
        from: Some(b"+15551234567"),
        to: Some(b"alice"),
        from_country: Some("US"),
        to_country: None,
        way: way(),
        code: Some(488),
        config: [7; 32],
    }
}

fn record(fact: AuditFact<'static>) -> AuditRecord<'static> {
    let call = CallName::Joined(b"id@host\0tag");
    AuditRecord { at: 1_780_000_000_123_456, region: "eu", project: Some("acme"), trunk: Some("t"), call, cut: false, fact }
}

/// One record of each kind.
fn all() -> Vec<AuditRecord<'static>> {
    let facts = [
        AuditFact::Verdict(verdict()),
        AuditFact::Answer(AnswerFact {
            direction: Some(Direction::In),
            code: 0,
            setup_ms: 70_000,
            way: way(),
            retries: 2,
            config: [1; 32],
        }),
        AuditFact::Answer(AnswerFact {
            direction: None,
            code: 486,
            setup_ms: 1,
            way: WayFact::default(),
            retries: 0,
            config: [1; 32],
        }),
        AuditFact::End(EndFact {
            by: EndedBy::Callee,
            cause: Some(b"Q.850;16"),
            seconds: Some(3600),
            since_invite: None,
            code: Some(200),
        }),
        AuditFact::End(EndFact { by: EndedBy::Daemon, cause: None, seconds: None, since_invite: Some(7), code: None }),
    ];
    facts.into_iter().map(record).collect()
}

#[test]
fn a_record_comes_out_as_it_went_in() {
    for record in all() {
        let mut slot = [0; RECORD_ROOM];
        let (length, cut) = record.encode(&mut slot);
        assert!(!cut);
        assert_eq!(AuditRecord::decode(&slot[..length]).as_ref(), Some(&record));
    }
}

#[test]
fn a_call_with_a_long_name_is_told_by_its_hash() {
    let mut slot = [0; RECORD_ROOM];
    for (longest, digest) in [(CALL, false), (CALL + 1, true)] {
        let name = vec![b'x'; longest];
        let told = AuditRecord { call: CallName::Joined(&name), ..all().remove(0) };
        let (length, cut) = told.encode(&mut slot);
        let read = AuditRecord::decode(&slot[..length]).unwrap();
        assert_eq!((matches!(read.call, CallName::Digest(_)), cut), (digest, false));
        if let CallName::Digest(digest) = read.call {
            assert_eq!(digest[..], Sha256::digest(&name)[..]);
        }
    }
}

#[test]
fn the_longest_record_fits_and_says_that_it_was_cut() {
    let (name, long) = ("n".repeat(63), vec![b'9'; 2000]);
    let media: ArrayVec<IpAddr, RECORD_MEDIA> = (0..8).map(|at| IpAddr::from([at, 0, 0, 0, 0, 0, 0, at])).collect();
    let way = WayFact { serving: Some(&name), media, ..way() };
    let id = "i".repeat(CALL);
    let fact = AuditFact::Verdict(VerdictFact {
        method: Some(&long),
        source: Some("[2001:db8::5]:5061".parse().unwrap()),
        from: Some(&long),
        to: Some(&long),
        from_country: Some("+800"),
        to_country: Some("+800"),
        way: way.clone(),
        ..verdict()
    });
    let call = CallName::Joined(id.as_bytes());
    let longest = AuditRecord { region: &name, project: Some(&name), trunk: Some(&name), call, fact, ..all().remove(0) };
    let mut slot = [0; RECORD_ROOM];
    let (length, cut) = longest.encode(&mut slot);
    assert!(cut && length < RECORD_ROOM, "{length}");
    let read = AuditRecord::decode(&slot[..length]).unwrap();
    let AuditFact::Verdict(fact) = read.fact else { panic!("{read:?}") };
    assert_eq!((fact.method, fact.from, fact.to), (Some(&long[..METHOD]), Some(&long[..NUMBER]), Some(&long[..NUMBER])));
    assert_eq!((fact.way, read.cut, read.trunk), (way, true, Some(&*name)));
}

#[test]
fn a_short_slot_gets_what_fits() {
    let record = all().remove(0);
    for room in 0..RECORD_ROOM {
        let mut slot = vec![0; room];
        let (length, cut) = record.encode(&mut slot);
        assert!(length <= room);
        let read = AuditRecord::decode(&slot[..length]);
        assert_eq!(read.as_ref() == Some(&record), !cut, "{room}");
    }
}

#[test]
fn a_torn_slot_is_no_panic_and_rarely_a_record() {
    for record in all() {
        let mut slot = [0; RECORD_ROOM];
        let (length, _) = record.encode(&mut slot);
        for end in 0..length {
            let _ = AuditRecord::decode(&slot[..end]);
        }
        for at in 0..length {
            for bit in 0..8 {
                slot[at] ^= 1 << bit;
                let _ = AuditRecord::decode(&slot[..length]);
                slot[at] ^= 1 << bit;
            }
        }
    }
}

proptest! {
    #[test]
    fn anything_may_stand_in_a_slot(octets in prop::collection::vec(any::<u8>(), 0..1100), kind in 0..4_u8) {
        let _ = AuditRecord::decode(&octets);
        // With a head that is one.
        let whole = [&[FORM, kind, 1, 0, 0, 0, 0, 0, 0, 0], &octets[..]].concat();
        let _ = AuditRecord::decode(&whole);
    }

    #[test]
    fn fields_of_any_kind_are_read(fields in prop::collection::vec((0..32_u8, prop::collection::vec(any::<u8>(), 0..40)), 0..20), kind in 1..4_u8) {
        let mut slot = vec![FORM, kind, 1, 0, 0, 0, 0, 0, 0, 0];
        for (name, octets) in fields {
            slot.extend([name, u8::try_from(octets.len()).unwrap()]);
            slot.extend(octets);
        }
        if let Some(record) = AuditRecord::decode(&slot) {
            let mut again = [0; RECORD_ROOM];
            let (length, cut) = record.encode(&mut again);
            let read = AuditRecord::decode(&again[..length]);
            prop_assert!(cut || read == Some(record));
        }
    }
}
