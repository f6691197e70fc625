//! `sip-fixtures/region`: messages as files, each with what must become of it on the site of these tests.
//!
//! A neighbour `NAME.expect` says where the message comes from (`source`), where it arrives (`listener`), optionally other servers
//! (`upstream`, what their name `resolves` to, and the `nearest` regions), and the end: the `reason` with the `code` of the refusal, or
//! `forwarded-to`. Where answers go (`answered-at`, the source if absent) and with which `request-uri` it goes on may stand there too.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringfence::config::NameId;
use ringfence::core::io::{Input, Note, Outcome, Verdict};
use ringfence::dns::Resolved;

use crate::site::{CONFIG, Site, servers};

fn judge(name: &str, bytes: &[u8], expect: &BTreeMap<String, String>) {
    let text = match expect.get("upstream") {
        Some(upstream) => {
            let nearest = expect.get("nearest").map(|nearest| format!("\nnearest = {nearest}")).unwrap_or_default();
            CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, &[upstream.as_str(), &nearest].concat())
        }
        None => CONFIG.to_owned(),
    };
    let mut site = Site::new(&text);
    if let Some(addresses) = expect.get("resolves") {
        let mut targets = Resolved::unknown(site.config.names.len());
        for (id, name) in (0..).map(NameId).zip(&site.config.names) {
            let addresses: Vec<&str> = addresses.split_whitespace().collect();
            targets.set(id, servers(name, &addresses));
        }
        site.input(Input::Resolved(Arc::new(targets)));
    }
    let sent = site.to(&expect["listener"], &expect["source"], bytes);
    let reason = &expect["reason"];
    let answered = expect.get("answered-at").unwrap_or_else(|| &expect["source"]);
    let verdict = site.notes.iter().find_map(|note| match note {
        Note::Verdict { verdict, reason, .. } => Some((*verdict, *reason)),
        _ => None,
    });
    let (verdict, found) = verdict.unwrap_or_else(|| panic!("{name}: no verdict, {:?}", site.outcome()));
    assert_eq!(found.token(), reason, "{name}");
    match (expect.get("forwarded-to"), expect.get("code")) {
        (Some(to), None) => {
            assert_eq!((verdict, site.outcome()), (Verdict::Accept, Outcome::Forwarded), "{name}");
            let last = sent.last().unwrap();
            assert_eq!(last.to, to.parse().unwrap(), "{name}");
            let uri = expect.get("request-uri").map(String::as_str);
            assert!(uri.is_none_or(|uri| last.line().split(' ').nth(1) == Some(uri)), "{name}: {}", last.line());
            let trying = sent.iter().filter(|sent| !sent.fenced).map(|sent| sent.to.to_string());
            assert!(trying.clone().all(|to| &to == answered), "{name}: {:?}", trying.collect::<Vec<_>>());
            assert!(last.bytes.ends_with(ringfence::sip::Message::datagram(bytes).unwrap().body()), "{name}: the body");
        }
        (None, Some(code)) => {
            assert_eq!((verdict, site.outcome()), (Verdict::Refuse, Outcome::Refused(found)), "{name}");
            assert_eq!(sent.len(), 1, "{name}: one answer and nothing else");
            assert_eq!(&sent[0].to.to_string(), answered, "{name}");
            assert_eq!(&sent[0].line()[8..11], code, "{name}");
            let told = (found != ringfence::reason::Reason::UnknownSource).then(|| format!("{}; reason={reason}", found.id()));
            assert_eq!(
                sent[0].header("X-Ringfence").map(|row| row.rsplit_once("; region").unwrap().0.to_owned()),
                told,
                "{name}"
            );
        }
        _ => panic!("{name}: say either code or forwarded-to"),
    }
}

#[test]
fn every_message_of_the_folder_ends_as_its_neighbour_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/region");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sip") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let expect =
                std::fs::read_to_string(path.with_extension("expect")).unwrap_or_else(|_| panic!("{name} has no neighbour"));
            let expect = expect
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
            judge(&name, &std::fs::read(&path).unwrap(), &expect.collect());
            count += 1;
        }
    }
    assert!(count >= 40, "{count} messages");
}
