//! Limits and timers: their defaults, and the values that each may have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::audit::{Audit, AuditNumbers, AuditSeed};
use super::file;
use super::gate::{GATE_CONNECTIONS, Gate};
use super::limits::{Health, Limits, Log, Metrics, Numbers, Timers};
use super::report::{Placed, Read, Report, good};
use super::value::written;
use crate::sip::scan::MAX_MESSAGE;

/// The address on which `[admin]` listens if it names none.
pub(super) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// New requests a second from one address of a trunk. A carrier's busiest gateway sends fewer. An operator who needs more sets
/// it.
const PER_SOURCE: u32 = 200;

/// Refused messages that are kept: some hundred kilobytes.
const REFUSED: usize = 200;

/// Where audit records wait for the disk: a directory in memory that the package's unit makes.
const SPOOL: &str = "/run/ringfence/audit.spool";

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest time that an expired DNS answer may serve.
const STALEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest time that a name serves on after it has vanished: what was taken out of DNS must not get calls for long.
const LONGEST_VANISH: Duration = Duration::from_secs(3600);
/// 64 KiB, as an operator writes it. The longest message that is accepted is [`MAX_MESSAGE`].
const MESSAGE: u64 = 64 << 10;
/// The bounds of what transactions hold, in octets: from a few of the longest messages to a tebibyte.
const MEMORY: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 40);
/// The bounds of a write queue, in octets: it must take the longest message.
const QUEUE: std::ops::RangeInclusive<u64> = MESSAGE..=(1 << 30);

/// The timers, with RFC 3261's defaults.
pub(super) fn timers(file: &file::Timers, report: &mut Report) -> Timers {
    let ms = Duration::from_millis;
    let t1 = within(&file.t1, ms(500), ms(1), ms(10_000), report);
    let t2 = within(&file.t2, ms(4000).max(t1), t1, ms(60_000), report);
    let t4 = within(&file.t4, ms(5000), ms(1), ms(60_000), report);
    let c = within(&file.c, ms(185_000), ms(1000), DAY, report);
    let drain = within(&file.drain, ms(40_000), Duration::ZERO, DAY, report);
    // 4 s by default: three repetitions over UDP have gone by then.
    let try_for = within(&file.try_for, t1.saturating_mul(8), t1, t1.saturating_mul(64), report);
    if let Some(given) = good(&file.c)
        && given.value <= Duration::from_secs(180)
    {
        let wrong = format!("timer C of {} is not above 3 minutes (RFC 3261 16.6 step 11)", written(given.value));
        report.warning(&given.place, wrong, "185s: a call that rings longer is cancelled");
    }
    Timers { t1, t2, t4, c, drain, try_for }
}

/// How much the metrics tell apart. 10 000 projects make some megabytes of `/metrics` if all of them have calls.
pub(super) fn metrics(file: Option<&file::Metrics>) -> Metrics {
    Metrics { projects: file.map_or(10_000, |file| count(&file.projects, 10_000)) }
}

/// The gate. `None`: it cannot be told where it listens, which is reported.
pub(super) fn gate(file: &file::Gate) -> Option<Gate> {
    let connections = count(&file.connections, usize::try_from(GATE_CONNECTIONS).unwrap_or_default());
    Some(Gate { listen: good(&file.listen)?.value, connections })
}

/// What is written and kept of decisions.
pub(super) fn log(file: Option<&file::Log>) -> Log {
    Log {
        numbers: file.and_then(|file| good(&file.numbers)).map_or(Numbers::Mask, |given| given.value),
        refused: file.map_or(REFUSED, |file| count(&file.refused, REFUSED)),
    }
}

/// The audit record. `key`: makes the seed of the key in a file.
pub(super) fn audit(
    file: Option<&file::Audit>,
    folder: &Path,
    report: &mut Report,
    key: impl FnOnce(&Placed<String>, &mut Report) -> Option<AuditSeed>,
) -> Option<Audit> {
    let file = file?;
    for (key, value, example) in
        [("path", &file.path, "path = \"/var/lib/ringfence/audit\""), ("sign", &file.sign, "sign = \"audit.key\"")]
    {
        if matches!(value, Ok(None)) {
            report.mistake(&file.place, format!("[audit] without `{key}`"), example);
        }
    }
    let retain = within(&file.retain, DAY.saturating_mul(730), Duration::ZERO, DAY.saturating_mul(36_500), report);
    let checkpoint = within(&file.checkpoint, Duration::from_secs(600), Duration::from_secs(1), DAY, report);
    let (path, sign) = (good(&file.path)?, good(&file.sign)?);
    Some(Audit {
        path: folder.join(&path.value),
        sign: folder.join(&sign.value),
        key: key(sign, report)?,
        retain,
        numbers: good(&file.numbers).map_or(AuditNumbers::Hmac, |given| given.value),
        checkpoint,
        spool: good(&file.spool).map_or_else(|| SPOOL.into(), |spool| folder.join(&spool.value)),
    })
}

/// How the health of targets is kept.
pub(super) fn health(file: &file::Health, report: &mut Report) -> Health {
    let second = Duration::from_secs(1);
    let hour = second.saturating_mul(3600);
    let interval = within(&file.interval, second.saturating_mul(10), Duration::ZERO, hour, report);
    Health {
        interval: Some(interval).filter(|interval| !interval.is_zero()),
        fall: u32::try_from(count(&file.fall, 3)).unwrap_or(u32::MAX),
        back_off: within(&file.back_off, second.saturating_mul(60), second, hour, report),
        rise: within(&file.rise, second.saturating_mul(30), Duration::ZERO, hour, report),
    }
}

/// The limits, with their defaults.
pub(super) fn limits(file: &file::Limits, timers: &Timers, report: &mut Report) -> Limits {
    let second = Duration::from_secs(1);
    // A connection must outlive the transactions on it (RFC 3261 18: 64*T1).
    let patience = timers.t1.saturating_mul(64);
    let message = octets(&file.message, MESSAGE, 1024..=MESSAGE, report);
    Limits {
        memory: octets(&file.memory, 1 << 30, MEMORY, report),
        transactions: count(&file.transactions, 1_000_000),
        per_source: good(&file.per_source).map_or(PER_SOURCE, |rate| rate.value),
        sources: count(&file.sources, 65_536),
        repeats: count(&file.repeats, 10_000),
        connections: count(&file.connections, 4096),
        connections_per_source: count(&file.connections_per_source, 128),
        write_queue: octets(&file.write_queue, 256 << 10, QUEUE, report),
        message: message.min(MAX_MESSAGE),
        idle: within(&file.idle, second.saturating_mul(120).max(patience), patience, DAY, report),
        partial: within(&file.partial, second.saturating_mul(10), Duration::from_millis(100), DAY, report),
        connect: within(&file.connect, second.saturating_mul(2), Duration::from_millis(10), second.saturating_mul(60), report),
        handshakes: count(&file.handshakes, 1024),
        handshake: within(
            &file.handshake,
            second.saturating_mul(5),
            Duration::from_millis(100),
            second.saturating_mul(60),
            report,
        ),
    }
}

/// How long a name serves on after DNS says that it has no server any more.
pub(super) fn vanish(file: &Read<Placed<Duration>>, report: &mut Report) -> Duration {
    within(file, Duration::from_secs(30), Duration::ZERO, LONGEST_VANISH, report)
}

/// How long an expired DNS answer may serve.
pub(super) fn stale(file: &Read<Placed<Duration>>, report: &mut Report) -> Duration {
    within(file, Duration::from_secs(3600), Duration::ZERO, STALEST, report)
}

fn within(file: &Read<Placed<Duration>>, default: Duration, least: Duration, most: Duration, report: &mut Report) -> Duration {
    let Some(given) = good(file) else { return default };
    if given.value < least || given.value > most {
        let right = format!("from `{}` to `{}`", written(least), written(most));
        report.mistake(&given.place, format!("`{}` is out of bounds", written(given.value)), right);
    }
    given.value
}

fn octets(file: &Read<Placed<u64>>, default: u64, bounds: std::ops::RangeInclusive<u64>, report: &mut Report) -> usize {
    let value = good(file).map_or(default, |given| {
        if !bounds.contains(&given.value) {
            let right = format!("from {} to {} octets", bounds.start(), bounds.end());
            report.mistake(&given.place, format!("{} octets are out of bounds", given.value), right);
        }
        given.value
    });
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn count(file: &Read<Placed<u64>>, default: usize) -> usize {
    good(file).map_or(default, |given| usize::try_from(given.value).unwrap_or(usize::MAX))
}
