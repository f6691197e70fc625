//! Files with many projects, and projects that are written in other ways than most: what they mean is the same.

#![expect(clippy::unwrap_used, reason = "a test may stop where a file is not what it seems")]

use ringfence::config::{Config, ConfigError, Endpoint, ProjectId};

use super::{BASE, loads, parse};

/// What a configuration says of its projects.
fn said(config: &Config) -> String {
    format!("{:?} {:?} {:?}", config.projects, config.trunks, config.names)
}

fn mistakes(result: Result<Config, ConfigError>) -> Vec<String> {
    let error = result.unwrap_err();
    error.mistakes.iter().map(|of| format!("{}:{} {} <{}>", of.line, of.column, of.wrong, of.excerpt)).collect()
}

const PLAIN: &str = r#"[project.one]
pin = ["eu", 'us']
mode = "shadow"
reject = "teams"
[project.one.trunk.a]
networks = ["192.0.2.0/24"]
media = ["192.0.2.0/24", "198.51.100.0/24"]
uri = "sip:carrier.example.net;transport=tcp"
outbound_networks = ["192.0.2.0/25"]
[project.one.trunk.b]
networks = ["2001:db8::/32", "192.0.2.7/32"]
[project.two]
"#;

#[test]
fn however_a_project_is_written_it_means_the_same() {
    let base = BASE.replace("listen = [\"udp:127.0.0.1:5060\"]", "listen = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\"]");
    let plain = said(&loads(&format!("{base}{PLAIN}")));
    assert!(plain.contains("192.0.2.0") || plain.contains("3221225984"), "{plain}");
    for other in [
        // What the TOML reader must read.
        PLAIN.replace("[project.one", "[project.\"one\""),
        PLAIN.replace("[project.one", "[\"project\".one"),
        PLAIN.replace("\"shadow\"", "\"sh\\u0061dow\""),
        PLAIN.replace("[project.one.trunk.b]\nnetworks", "[project.one.trunk]\nb.networks"),
        PLAIN.replace("[project.two]\n", "[project]\ntwo = {}\n"),
        // A project's tables in several places, and other tables between them.
        PLAIN.replace("[project.one.trunk.b]", "[region.other]\nhostname = \"other.example.com\"\n[project.one.trunk.b]"),
        PLAIN.replace("[project.two]\n", "").replace("[project.one.trunk.b]", "[project.two]\n[project.one.trunk.b]"),
        PLAIN.replace('\n', "\r\n"),
    ] {
        assert_eq!(said(&loads(&format!("{base}{other}"))), plain, "{other}");
    }
}

#[test]
fn a_mistake_keeps_its_place_wherever_it_stands() {
    let found = |more: &str| mistakes(parse(&format!("{BASE}{more}")));
    assert_eq!(BASE.lines().count(), 13);
    assert_eq!(found("[project.a]\n\n[project.a]\n"), ["16:10 duplicate key <[project.a]>"]);
    assert_eq!(found("[project.a]\n[project.b]\n[project.a]\n"), ["16:10 duplicate key <[project.a]>"]);
    assert_eq!(
        found("[project.a]\npin = [\"mars\"]\n[project.b]\nx = 1\n[project.a.trunk.t]\n"),
        [
            "15:8 unknown region `mars` <pin = [\"mars\"]>",
            "17:1 unknown key `x` in [project.b] <x = 1>",
            "18:18 trunk `t` has no `networks` <[project.a.trunk.t]>"
        ]
    );
    assert_eq!(found("[project.a]\npin = [\"mars\"]\n[project.b]\npin = \n[project.c]\npin = \n").len(), 1, "the first alone");
    assert_eq!(found("[project]\nb.pin = [\"mars\"]\n[project.c]\nmode = \"x\"\n").len(), 2);
}

#[test]
fn a_large_file_is_read_to_its_end() {
    let project = |at| format!("[project.p{at}]\n[project.p{at}.trunk.t]\nnetworks = [\"127.0.3.0/24\"]\n");
    let many = (0..30_000).map(project).collect::<Vec<_>>().concat();
    let config = loads(&format!("{BASE}{many}"));
    assert_eq!((config.projects.len(), config.trunks.len()), (30_001, 30_001));
    assert_eq!(config.endpoint(b"p29999.eu.example.com"), Endpoint::Project(ringfence::config::RegionId(0), ProjectId(30_000)));
    assert_eq!(config.caller_table.trunks("127.0.3.1".parse().unwrap()).iter().count(), 30_001);
    assert_eq!(config.warnings.len(), 100, "as many as are shown");
    assert_eq!(config.warnings[98].line, 14 + 3 * 48, "two of each project behind the first: no pin, and no media");
    let wrong = format!("{BASE}{many}[project.p7]\nx = 1\n[project.last]\npin = [\"mars\"]\n");
    assert_eq!(mistakes(parse(&wrong)), [format!("{}:10 duplicate key <[project.p7]>", 13 + 90_001)]);
    let wrong = format!("{BASE}{many}[project.last]\npin = [\"mars\"]\n");
    assert_eq!(mistakes(parse(&wrong)), [format!("{}:8 unknown region `mars` <pin = [\"mars\"]>", 13 + 90_002)]);
}

#[test]
fn more_than_ten_thousand_files_are_included() {
    let folder = std::env::temp_dir().join(format!("ringfence-many-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("projects")).unwrap();
    let main = folder.join("ringfence.toml");
    std::fs::write(&main, format!("include = [\"projects/*.toml\"]\n{BASE}")).unwrap();
    for at in 0..10_500 {
        std::fs::write(folder.join(format!("projects/{at}.toml")), format!("[project.p{at}]\npin = [\"eu\"]\n")).unwrap();
    }
    let config = ringfence::config::load(&main);
    std::fs::remove_dir_all(&folder).unwrap();
    let config = config.unwrap();
    assert_eq!((config.projects.len(), config.files.len()), (10_501, 10_501));
    assert!(matches!(config.endpoint(b"p10499.eu.example.com"), Endpoint::Project(..)));
}
