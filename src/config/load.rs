//! From files to the snapshot, or to all mistakes at once.
//!
//! Reads the files and the route key's content; certificates are read by `secure`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use super::audit::AuditSeed;
use super::build::{Builder, Built};
use super::cut::{self, Cut};
use super::error::ConfigError;
use super::file::{Main, Parts, Project, Region};
use super::ids::ProjectId;
use super::limits::{Dns, Secret};
use super::report::{Place, Placed, Report, good};
use super::snapshot::Config;
use super::text::{Origin, Text};
use super::tls_parties::TlsParties;
use super::{bounds, disk, include, reader};
use crate::reason::Profile;

/// Longest file that is read, in octets.
const LONGEST_FILE: u64 = 1 << 30;
/// Fewest octets that a route key's file may have.
const SHORTEST_SECRET: usize = 16;
/// Fewest octets that the file of the key of the audit record may have.
const SHORTEST_AUDIT_KEY: usize = 32;
/// Most octets of a route key's file.
const LONGEST_SECRET: u64 = 64 << 10;

/// Loads a configuration file with everything that it includes.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let mut digest = Sha256::new();
    match disk::open(path).and_then(|file| cut::of_file(file, LONGEST_FILE, &mut digest)) {
        Ok(main) => Loading::new(path, true, digest).assemble(main),
        Err(wrong) => {
            let mut report = Report::default();
            report.mistake(
                &Place { file: 0, span: None },
                wrong,
                "a TOML file that the user of this command (of the daemon, if it reloads) may read",
            );
            Err(ConfigError { mistakes: report.finish(&[path.to_owned()]).0, unreadable: true, admin: None })
        }
    }
}

/// Loads a configuration from a text, as if it were the file `name`. The text cannot include files.
pub fn parse(name: &Path, text: &str) -> Result<Config, ConfigError> {
    let mut digest = Sha256::new();
    match cut::of_text(text, &mut digest) {
        Ok(main) => Loading::new(name, false, digest).assemble(main),
        // A text is text.
        Err(_) => Err(ConfigError { mistakes: Vec::new(), unreadable: true, admin: None }),
    }
}

/// The files so far, and what is wrong with them.
struct Loading {
    includes: bool,
    paths: Vec<PathBuf>,
    digest: Sha256,
    /// Regions of all files.
    parts: Parts,
    /// What is no TOML. Only the first place in each file counts, because a parser guesses after that.
    syntax: Report,
    /// What is wrong with a value by itself, or with a file.
    values: Report,
    /// What is wrong with values together. A file that could not be read may hold what the others refer to: then none of it is said.
    meaning: Report,
    whole: bool,
    /// The admin endpoint, as far as the main file can be read.
    admin: Option<SocketAddr>,
}

impl Loading {
    fn new(main: &Path, includes: bool, digest: Sha256) -> Self {
        let (parts, [syntax, values, meaning]) = Default::default();
        Self { includes, paths: vec![main.to_owned()], digest, parts, syntax, values, meaning, whole: true, admin: None }
    }

    /// Reads what is no project's in all files, then project by project.
    fn assemble(mut self, main: Cut) -> Result<Config, ConfigError> {
        let folder = self.folder();
        let mut cuts = vec![(main, Vec::new())];
        let mut main = None;
        if let Some((cut, projects)) = cuts.first_mut() {
            main = self.rest(0, cut, reader::read_main);
            projects.append(&mut self.parts.projects);
        }
        let patterns = main.as_ref().and_then(|main| good(&main.include)).map(Vec::as_slice).unwrap_or_default();
        if self.includes {
            for (path, place) in include::files(&folder, patterns, &self.paths, &mut self.values) {
                match disk::open(&path).and_then(|file| cut::of_file(file, LONGEST_FILE, &mut self.digest)) {
                    Ok(mut cut) => {
                        self.paths.push(path);
                        self.rest(cuts.len(), &mut cut, reader::read_included);
                        cuts.push((cut, std::mem::take(&mut self.parts.projects)));
                    }
                    Err(wrong) => {
                        self.whole = false;
                        self.values.mistake(&place, format!("{}: {wrong}", path.display()), "a readable TOML file");
                    }
                }
            }
        } else if let Some(pattern) = patterns.first() {
            self.values.mistake(&pattern.place, "a text of its own includes nothing", "leave `include` out");
        }
        let regions = std::mem::take(&mut self.parts.regions);
        let expected = cuts.iter().flat_map(|(cut, _)| &cut.chunks).map(|chunk| chunk.starts.len()).sum();
        let builder = |main| Builder::new(main, &regions, &folder, expected, &mut self.meaning);
        let mut builder = main.as_ref().and_then(builder);
        let mut rests = Vec::with_capacity(cuts.len());
        for (file, (cut, projects)) in cuts.into_iter().enumerate() {
            for project in projects {
                self.take(&project, builder.as_mut());
            }
            rests.push(self.projects(file, cut, builder.as_mut()));
        }
        let config = match (&main, builder) {
            (Some(main), Some(builder)) if self.whole => {
                let built = builder.finish(&mut self.meaning);
                Some(self.snapshot(main, &regions, built, &folder))
            }
            _ => None,
        };
        let admin = self.admin;
        let (mistakes, warnings) = self.report(&rests);
        match config {
            Some(config) if mistakes.is_empty() => Ok(Config { warnings, ..config }),
            _ => Err(ConfigError { mistakes, unreadable: false, admin }),
        }
    }

    fn folder(&self) -> PathBuf {
        self.paths.first().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default()
    }

    /// Reads what is no project's table. `None`: it is no TOML.
    fn rest<T>(
        &mut self,
        file: usize,
        cut: &mut Cut,
        read: impl FnOnce(Origin<'_>, &DeTable<'_>, &mut Parts, &mut Report) -> T,
    ) -> Option<T> {
        let other = |cut: &Cut| DeTable::parse_recoverable(&cut.rest.text).0.get_ref().contains_key("project");
        // Whoever writes of projects in another way too can say one thing twice, which shows in one piece alone.
        if !cut.chunks.is_empty()
            && memchr::memmem::find(cut.rest.text.as_bytes(), b"project").is_some()
            && other(cut)
            && let Err(wrong) = cut.join()
        {
            self.unreadable(file, wrong);
            return None;
        }
        let (table, errors) = DeTable::parse_recoverable(&cut.rest.text);
        if file == 0 {
            self.admin = table.get_ref().get("admin").and_then(|of| of.get_ref().as_table()).and_then(admin);
        }
        let origin = Origin { file, text: &cut.rest, from: 0 };
        if errors.is_empty() {
            return Some(read(origin, table.get_ref(), &mut self.parts, &mut self.values));
        }
        self.no_toml(origin, &errors);
        None
    }

    /// Reads the projects' tables of a file, and drops them. Returns what else was in the file.
    fn projects(&mut self, file: usize, mut cut: Cut, mut builder: Option<&mut Builder<'_>>) -> Text {
        for chunk in cut.chunks {
            let text_of_chunk = match chunk.text(&cut.source) {
                Ok(text) => text,
                Err(wrong) => {
                    self.unreadable(file, wrong);
                    break;
                }
            };
            for (from, text) in chunk.projects(&text_of_chunk) {
                let name = if cut.scattered.is_empty() { None } else { cut::project_of(text) };
                let scattered = name.and_then(|name| cut.scattered.get_mut(name));
                match scattered {
                    None => self.project(Origin { file, text: &text_of_chunk, from }, text, builder.as_deref_mut()),
                    // Its other tables are read with its first.
                    Some(all) => {
                        let all = std::mem::take(all);
                        self.project(Origin { file, text: &all, from: 0 }, &all.text, builder.as_deref_mut());
                        self.settle(file, &all);
                    }
                }
            }
            self.settle(file, &text_of_chunk);
        }
        cut.rest
    }

    /// Reports a file that could be read at first.
    fn unreadable(&mut self, file: usize, wrong: String) {
        self.whole = false;
        self.values.mistake(&Place { file, span: None }, wrong, "a file that nobody changes meanwhile");
    }

    fn project(&mut self, origin: Origin<'_>, text: &str, builder: Option<&mut Builder<'_>>) {
        match reader::read_one(origin, text, &mut self.values) {
            Ok(Some(project)) => self.take(&project, builder),
            Ok(None) => {}
            Err(errors) => self.no_toml(origin, &errors),
        }
    }

    fn take(&mut self, project: &Project, builder: Option<&mut Builder<'_>>) {
        if let Some(builder) = builder {
            builder.project(project, &mut self.meaning);
        }
    }

    fn no_toml(&mut self, origin: Origin<'_>, errors: &[toml::de::Error]) {
        self.whole = false;
        if let Some(error) = errors.iter().min_by_key(|error| error.span().map(|span| span.start)) {
            syntax(origin, error, &mut self.syntax);
        }
    }

    fn settle(&mut self, file: usize, text: &Text) {
        for report in [&mut self.syntax, &mut self.values, &mut self.meaning] {
            report.settle(file, text);
        }
    }

    /// All mistakes and warnings. `rests`: the text of each file that was not dropped yet.
    fn report(mut self, rests: &[Text]) -> (Vec<super::Mistake>, Vec<super::Mistake>) {
        for (file, text) in rests.iter().enumerate() {
            self.settle(file, text);
        }
        let Self { mut syntax, mut values, meaning, .. } = self;
        syntax.keep_first();
        if syntax.is_wrong(0) {
            // It may be the main file's last good line that names the others.
            syntax.keep(|file| file == 0);
            values.keep(|_| false);
        }
        values.keep(|file| !syntax.is_wrong(file));
        values.take(syntax);
        if self.whole {
            values.take(meaning);
        }
        values.finish(&self.paths)
    }

    fn snapshot(&mut self, main: &Main, regions: &[Region], built: Built, folder: &Path) -> Config {
        let report = &mut self.meaning;
        let timers = bounds::timers(&main.timers, report);
        let limits = bounds::limits(&main.limits, &timers, report);
        Config {
            digest: hex(self.digest.clone(), &built.certificates),
            files: self.paths.clone(),
            caller_table: built.caller_table,
            tls_parties: TlsParties::of(&built.regions, &built.names),
            regions: built.regions,
            sole_out: sole_out(&built.projects),
            projects: built.projects,
            trunks: built.trunks,
            listeners: built.listeners,
            signalling: built.signalling,
            names: built.names,
            name_index: built.name_index,
            endpoints: built.endpoints,
            api_keys: built.api_keys,
            gate: main.gate.as_ref().and_then(bounds::gate),
            reject: good(&main.reject).map_or(Profile::GENERIC, |reject| reject.value),
            plain_numbers: built.plain_numbers,
            audit: bounds::audit(main.audit.as_ref(), folder, report, |file, report| audit_key(folder, file, report)),
            admin: main.admin.as_ref().map(|admin| good(&admin.listen).map_or(bounds::ADMIN, |listen| listen.value)),
            admin_hosts: (main.admin.iter().filter_map(|admin| good(&admin.hosts)).flatten())
                .map(|host| host.value.clone())
                .collect(),
            dns: Dns {
                servers: good(&main.dns_servers).into_iter().flatten().map(|server| server.value).collect(),
                stale: bounds::stale(&main.dns_stale, report),
                vanish: bounds::vanish(&main.dns_vanish, report),
            },
            limits,
            timers,
            health: bounds::health(&main.health, report),
            metrics: bounds::metrics(main.metrics.as_ref()),
            log: bounds::log(main.log.as_ref()),
            key_files: key_files(main, regions, folder),
            secret: good(&main.secret).and_then(|file| secret(folder, file, report)),
            warnings: Vec::new(),
        }
    }
}

/// The files of the route key, of the key of the audit record and of the TLS keys.
fn key_files(main: &Main, regions: &[Region], folder: &Path) -> Vec<PathBuf> {
    let tls = regions.iter().filter_map(|region| region.tls.as_ref());
    let of_tls = tls.flat_map(|tls| [good(&tls.key), good(&tls.client_key)]);
    let of_audit = main.audit.as_ref().and_then(|audit| good(&audit.sign));
    [good(&main.secret), of_audit].into_iter().chain(of_tls).flatten().map(|file| folder.join(&file.value)).collect()
}

/// Where `[admin]` listens. `None`: it cannot be told.
fn admin(table: &DeTable<'_>) -> Option<SocketAddr> {
    match table.get("listen") {
        Some(listen) => listen.get_ref().as_str()?.parse().ok(),
        None => Some(bounds::ADMIN),
    }
}

/// Reports what is no TOML, in an operator's words for what operators get wrong most.
fn syntax(origin: Origin<'_>, error: &toml::de::Error, report: &mut Report) {
    let span = error.span().unwrap_or_default();
    let text = origin.text.text.get(origin.from..).unwrap_or_default();
    let begin = text.get(..span.start).map_or(0, |before| before.rfind('\n').map_or(0, |at| at + 1));
    let line = text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let (message, expected) = error
        .message()
        .split_once(", expected ")
        .map_or_else(|| (error.message(), None), |(message, expected)| (message, Some(expected)));
    let (span, wrong, right) = match (message, expected) {
        ("string values must be quoted", _) if !span.is_empty() => {
            let word =
                text.get(span.clone()).filter(|word| word.len() < 64 && word.bytes().all(|octet| octet.is_ascii_graphic()));
            let word = word.unwrap_or("text");
            (span, "a text without quotes".to_owned(), format!("\"{word}\", or [\"{word}\"] where a list is meant"))
        }
        ("invalid basic string", Some("`\"`")) => {
            // The parser is at the line's end. Where the text begins is what helps.
            let from = text.get(begin..span.start).and_then(|before| before.rfind('"')).map_or(span.start, |at| begin + at);
            let to = (begin + line.len()).max(from);
            (from..to, "this text has no closing quote".to_owned(), "a `\"` where it ends".to_owned())
        }
        ("key with no value", _) => {
            let to = (begin + line.trim_end().len()).max(begin);
            (begin..to, "a key without a value".to_owned(), "`key = value`, or the head of a table: `[table]`".to_owned())
        }
        ("duplicate key", None) => (span, "duplicate key".to_owned(), "each key and each [table] once".to_owned()),
        (_, Some(expected)) => (span, message.to_owned(), format!("expected {expected}")),
        (_, None) => (span, message.to_owned(), "TOML, see https://toml.io".to_owned()),
    };
    report.mistake(&origin.place(span), wrong, right);
}

/// The digest of the files and of the certificates that they name: it changes if one of those does.
fn hex(mut hash: Sha256, certificates: &[Vec<u8>]) -> String {
    for certificate in certificates {
        hash.update(certificate);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, octet| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}

/// The route key: the first 16 octets of the SHA-256 of the file's content.
fn secret(folder: &Path, file: &Placed<String>, report: &mut Report) -> Option<Secret> {
    let digest = of_key_file(folder, file, SHORTEST_SECRET, "the same on all nodes of a region", report)?;
    digest.first_chunk().copied().map(Secret)
}

/// The seed of the key that signs the audit record: the SHA-256 of the file's content.
fn audit_key(folder: &Path, file: &Placed<String>, report: &mut Report) -> Option<AuditSeed> {
    of_key_file(folder, file, SHORTEST_AUDIT_KEY, "another on each node", report).map(AuditSeed)
}

/// The SHA-256 of the content of a key's file. `whose`: which nodes have it.
fn of_key_file(folder: &Path, file: &Placed<String>, shortest: usize, whose: &str, report: &mut Report) -> Option<[u8; 32]> {
    let path: PathBuf = folder.join(&file.value);
    let content = match disk::octets(&path, LONGEST_SECRET) {
        Ok(content) => content,
        Err(wrong) => {
            let right = format!(
                "a file of at least {shortest} random octets that the daemon's user may read and nobody else, {whose}: \
                 `head -c 32 /dev/urandom` makes one"
            );
            report.mistake(&file.place, format!("{}: {wrong}", path.display()), right);
            return None;
        }
    };
    if content.len() < shortest {
        let wrong = format!("{} holds {} octets", path.display(), content.len());
        report.mistake(&file.place, wrong, format!("at least {shortest} random octets"));
        return None;
    }
    Some(Sha256::digest(&content).into())
}

/// The only project whose `out` says how calls go out, if there is just one.
fn sole_out(projects: &[super::Project]) -> Option<ProjectId> {
    let mut with = (0..).map(ProjectId).zip(projects).filter(|(_, project)| !project.out.is_empty());
    let (id, _) = with.next()?;
    with.next().is_none().then_some(id)
}
