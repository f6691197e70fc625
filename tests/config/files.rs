//! Files that belong to a configuration: what it includes, and the route key.

#![expect(clippy::unwrap_used, reason = "a test may stop where a file cannot be written")]

use std::path::{Path, PathBuf};

use ringfence::config::{self, Config, ConfigError, Secret};

use super::{BASE, parse, replaced};

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        for (path, content) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Self(folder)
    }

    fn load(&self) -> Result<Config, ConfigError> {
        config::load(&self.0.join("main.toml"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn includes() {
    let main = format!("include = [\"more/*.toml\", \"more/a.toml\", \"last.toml\"]\n{BASE}");
    let project = |name: &str| format!("[project.{name}]\npin = [\"eu\"]\n");
    let (a, b, c) = (project("a"), project("b"), project("c"));
    let files = [
        ("main.toml", main.as_str()),
        ("more/b.toml", &b),
        ("more/a.toml", &a),
        ("last.toml", &c),
        ("more/.x.toml", "="),
        ("more/n.txt", "="),
    ];
    let config = Folder::new("includes", &files).load().unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = config.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["main.toml", "a.toml", "b.toml", "last.toml"], "sorted, each once, hidden ones skipped");
    let names: Vec<_> = config.projects.iter().map(|project| &*project.name).collect();
    assert_eq!(names, ["acme", "a", "b", "c"]);

    let found = |name: &str, include: &str, content: &str| {
        let main = format!("include = [\"{include}\"]\n{BASE}");
        let folder = Folder::new(name, &[("main.toml", main.as_str()), ("more/a.toml", content)]);
        let error = folder.load().unwrap_err();
        assert!(!error.unreadable);
        error
            .mistakes
            .into_iter()
            .map(|m| format!("{}:{}:{} {}", m.file.file_name().unwrap().display(), m.line, m.column, m.wrong))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("twice", "more/*", "[region.eu]\nhostname = \"x.test\""), ["a.toml:1:9 region `eu` is defined twice"]);
    assert_eq!(found("again", "more/*", "[project.acme]\npin = [\"eu\"]"), ["a.toml:1:10 project `acme` is defined twice"]);
    assert_eq!(found("alone", "more/*", "serve = [\"eu\"]"), ["a.toml:1:1 `serve` belongs into the main file"]);
    assert_eq!(found("nested", "more/*", "include = [\"x\"]"), ["a.toml:1:1 `include` belongs into the main file"]);
    let [missing] = found("missing", "nothing.toml", "").try_into().unwrap();
    assert!(missing.starts_with("main.toml:1:12 ") && missing.contains("cannot be read"), "{missing}");
    let [folder] = found("folder", "m*/a.toml", "").try_into().unwrap();
    assert!(folder.starts_with("main.toml:1:12 ") && folder.contains("`*` in a folder"), "{folder}");
    let [nowhere] = found("nowhere", "none/*.toml", "").try_into().unwrap();
    assert!(nowhere.contains("none cannot be read"), "{nowhere}");
    let both = found("both", "more/*", "[project.b]\npin = [\"mars\"]\ny = 1");
    assert_eq!(both, ["a.toml:2:8 unknown region `mars`", "a.toml:3:1 unknown key `y` in [project.b]"]);

    let error = parse(&replaced(0, "include = [\"x.toml\"]")).unwrap_err();
    assert!(error.to_string().contains("a text of its own includes nothing"), "{error}");
}

#[test]
fn the_route_key_is_a_file_of_its_own() {
    let main = format!("secret = {{ file = \"route.key\" }}\n{BASE}media = []\n");
    let load = |name: &str, key: &str| Folder::new(name, &[("main.toml", main.as_str()), ("route.key", key)]).load();
    let key = load("key", "0123456789abcdef").unwrap_or_else(|error| panic!("{error}"));
    // The first 16 octets of `printf 0123456789abcdef | sha256sum`.
    let Some(Secret(secret)) = key.secret else { panic!("no secret") };
    assert_eq!(u128::from_be_bytes(secret), 0x9f9f_5111_f7b2_7a78_1f1f_1ddd_e5eb_c2dd);
    assert!(key.warnings.is_empty(), "{:#?}", key.warnings);
    let short = load("short", "0123456789abcde").unwrap_err();
    assert_eq!((short.mistakes[0].line, short.mistakes[0].column), (1, 19));
    assert!(short.mistakes[0].wrong.contains("holds 15 octets"), "{short}");
    let absent = Folder::new("absent", &[("main.toml", main.as_str())]).load().unwrap_err();
    assert!(absent.mistakes[0].wrong.contains("cannot be read"), "{absent}");
}

#[test]
fn a_file_that_cannot_be_read_is_said_so() {
    let error = config::load(Path::new("no-such-file.toml")).unwrap_err();
    assert!(error.unreadable);
    assert!(error.to_string().starts_with("no-such-file.toml: cannot be read"), "{error}");
    assert!(config::load(Path::new("src")).unwrap_err().unreadable, "a folder is no file");
}
