//! Examples and exit codes of the commands: in `--help`, and in the manual.

/// The help for a command, beside its arguments.
pub(super) struct Help {
    /// The command's name. Empty: the program itself.
    pub(super) command: &'static str,
    /// Examples: the task, and the command line for it.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Exit codes, each with its meaning.
    pub(super) codes: &'static [(u8, &'static str)],
}

const WRONG: (u8, &str) = (2, "wrong arguments");
const UNREADABLE: (u8, &str) = (66, "FILE cannot be read");
const NO_SERVERS: (u8, &str) = (69, "unavailable: no name server can be used");
const MISTAKES: (u8, &str) = (78, "the configuration has mistakes");

pub(super) const RUN: Help = Help {
    command: "run",
    examples: &[
        ("Run in the foreground", "ringfence run -c /etc/ringfence/ringfence.toml"),
        ("Log accepted calls too", "RUST_LOG=info,ringfence::decision=debug ringfence run -c ringfence.toml"),
        ("Reload the configuration", "ringfence reload -c ringfence.toml"),
        ("Drain and end; a daemon without open calls ends at once", "ringfence drain -c ringfence.toml"),
    ],
    codes: &[
        (0, "the daemon has drained and stopped"),
        WRONG,
        UNREADABLE,
        (69, "unavailable: a port is taken, or another resource is missing"),
        MISTAKES,
    ],
};

pub(super) const INIT: Help = Help {
    command: "init",
    examples: &[
        ("Be asked for everything", "ringfence init"),
        (
            "Say everything",
            "ringfence init --region eu --hostname eu.sip.example.com --address 203.0.113.10 --network 203.0.113.0/24 \
             --network 10.20.0.0/16 --server 10.20.0.5:5060 --project acme --carrier twilio-ie --carrier-network 54.171.127.192/30",
        ),
    ],
    codes: &[
        (0, "both files are written, and are right"),
        (2, "an option is missing or wrong, or a file is there already"),
        (66, "DIR cannot be written to"),
    ],
};

pub(super) const CHECK: Help = Help {
    command: "check",
    examples: &[
        ("Is the file right, and what does it mean", "ringfence check -c ringfence.toml"),
        ("Is every name in it inside, too", "ringfence check -c ringfence.toml --online"),
        ("Has this machine its addresses and ports", "ringfence check -c ringfence.toml --here"),
        ("What would a reload change", "ringfence check --diff ringfence.toml ringfence.new.toml"),
    ],
    codes: &[
        (0, "the file is valid (it may have warnings). With --online: every address is inside. With --diff: nothing differs"),
        (1, "--online: an address is outside, a name resolves to nothing, or DNS failed"),
        WRONG,
        (3, "--diff: something differs"),
        UNREADABLE,
        (69, "--online: unavailable: no name server can be used. --here: an address or a port cannot be had"),
        MISTAKES,
    ],
};

pub(super) const RESOLVE: Help = Help {
    command: "resolve",
    examples: &[
        ("Which servers would a region's calls go to", "ringfence resolve -c ringfence.toml sip:livekit.eu.internal"),
        ("The same as JSON", "ringfence resolve -c ringfence.toml --json livekit.eu.internal"),
    ],
    codes: &[
        (0, "every address is inside, for each region and trunk of FILE that sends to NAME. If none does: inside some region"),
        (1, "some addresses are outside"),
        WRONG,
        (3, "all addresses are outside"),
        (4, "NAME resolves to nothing"),
        (5, "DNS failed"),
        UNREADABLE,
        NO_SERVERS,
        MISTAKES,
    ],
};

pub(super) const EXPLAIN: Help = Help {
    command: "explain",
    examples: &[
        ("Why was this call refused", "ringfence explain -c ringfence.toml --source 54.171.127.193:5060 invite.txt"),
        ("Paste a message from a log", "ringfence explain -c ringfence.toml -s 54.171.127.193:5060 -"),
        (
            "Why did the running daemon refuse this call",
            "ringfence explain -c ringfence.toml --call-id a84b4c76e66710@54.171.127.193",
        ),
        ("Would the gate let this realtime client in", "ringfence explain -c ringfence.toml --realtime - <token.txt"),
        (
            "Over TCP, to region uk, without DNS",
            "ringfence explain -c ringfence.toml -s 192.0.2.7:5060 -t tcp -l uk --offline invite.txt",
        ),
    ],
    codes: &[
        (0, "the message would be accepted"),
        (1, "the message would be refused"),
        (2, "the result depends on more than FILE and MESSAGE, the daemon keeps no message of that call, or wrong arguments"),
        (66, "FILE or MESSAGE cannot be read"),
        (69, "unavailable: no name server can be used. With --call-id: no daemon answers"),
        MISTAKES,
    ],
};

pub(super) const PROBE: Help = Help {
    command: "probe",
    examples: &[
        ("Does the endpoint answer", "ringfence probe sip:acme.eu.sip.example.com"),
        ("Would it take a call", "ringfence probe --invite sip:+4930123@acme.eu.sip.example.com"),
        ("At an address that DNS does not say yet", "ringfence probe --to 203.0.113.10:5060 sip:acme.eu.sip.example.com"),
        (
            "Over TCP, with the name servers of FILE, and to no address outside",
            "ringfence probe -c ringfence.toml -t tcp sip:livekit.eu.internal",
        ),
    ],
    codes: &[
        (0, "the endpoint answered 2xx, or the call rang and was cancelled"),
        (1, "the endpoint gave another final answer"),
        (2, "no answer, no address to send to, or wrong arguments"),
        UNREADABLE,
        NO_SERVERS,
        MISTAKES,
    ],
};

pub(super) const ZONE: Help = Help {
    command: "zone",
    examples: &[
        ("Records to include in a zone", "ringfence zone -c ringfence.toml > endpoints.zone"),
        ("A whole zone", "ringfence zone -c ringfence.toml --zone eu.sip.example.com --ns ns1.example.com"),
    ],
    codes: &[
        (0, "every listener has its records"),
        (1, "something was left out; standard error says what and why"),
        WRONG,
        UNREADABLE,
        MISTAKES,
    ],
};

pub(super) const COMPLETIONS: Help = Help {
    command: "completions",
    examples: &[("For bash", "ringfence completions bash > /usr/share/bash-completion/completions/ringfence")],
    codes: &[(0, "the completions were printed"), WRONG],
};

pub(super) const MAN: Help = Help {
    command: "man",
    examples: &[
        ("Read the main page", "ringfence man | man -l -"),
        ("Write all pages", "ringfence man /usr/local/share/man/man1"),
    ],
    codes: &[(0, "the pages were printed or written"), (1, "DIR cannot be written to"), WRONG],
};

pub(super) const DEMO: Help = Help {
    command: "demo",
    examples: &[
        ("Show the calls, and keep the metrics up", "ringfence demo"),
        ("Show the calls in a script", "ringfence demo --once"),
    ],
    codes: &[(0, "every call ended as expected"), (1, "a call did not end as expected"), WRONG],
};

const NO_DAEMON: (u8, &str) = (69, "unavailable: no daemon answers, or what answers is none");

pub(super) const STATUS: Help = Help {
    command: "status",
    examples: &[
        ("Is the daemon ready, and which servers take calls", "ringfence status -c /etc/ringfence/ringfence.toml"),
        ("Of a daemon elsewhere, as JSON", "ringfence status --admin 10.20.0.2:9090 --json"),
    ],
    codes: &[(0, "the daemon is ready"), (1, "it is not ready, or drains"), WRONG, UNREADABLE, NO_DAEMON, MISTAKES],
};

pub(super) const WATCH: Help = Help {
    command: "watch",
    examples: &[
        ("Which calls of a project are refused, and why", "ringfence watch -c ringfence.toml --project acme --verdict refuse"),
        ("What would shadow mode refuse", "ringfence watch -c ringfence.toml --verdict shadow --json"),
    ],
    codes: &[
        (0, "ended by Ctrl-C, or because nobody reads its output any more"),
        (1, "the daemon has ended"),
        (2, "wrong arguments, or a filter names a reason or verdict that does not exist"),
        UNREADABLE,
        (69, "unavailable: no daemon answers, or eight watch already"),
        MISTAKES,
    ],
};

pub(super) const PREFLIGHT: Help = Help {
    command: "preflight",
    examples: &[
        (
            "Does what stands at the carrier keep the pin",
            "ringfence preflight --project acme sip:acme.eu.sip.example.com sip:acme.sip.example.com",
        ),
        ("A list in a file, and who answers there", "ringfence preflight --project acme --probe - < uris.txt"),
    ],
    codes: &[
        (0, "every entry keeps the pin"),
        (1, "an entry leaks: a carrier that uses it leaves the regions, or reaches somebody else"),
        (2, "it cannot be told for every entry, or wrong arguments"),
        UNREADABLE,
        NO_SERVERS,
        MISTAKES,
    ],
};

pub(super) const NUMBER: Help = Help {
    command: "number",
    examples: &[
        ("Whose a number is", "ringfence number +35312345678"),
        ("As it is dialled in Germany", "ringfence number --numbering DE 0035312345678"),
    ],
    codes: &[
        (0, "a country has it, or it is an emergency number"),
        (1, "no country that is known has it, or it is no number"),
        WRONG,
    ],
};

pub(super) const RELOAD: Help = Help {
    command: "reload",
    examples: &[("Put a changed file into effect", "ringfence reload -c /etc/ringfence/ringfence.toml")],
    codes: &[
        (0, "the daemon has taken in the file"),
        WRONG,
        UNREADABLE,
        NO_DAEMON,
        (78, "the configuration has mistakes, or could not take effect: nothing has changed"),
    ],
};

pub(super) const DRAIN: Help = Help {
    command: "drain",
    examples: &[
        ("End the daemon without losing a call", "ringfence drain -c /etc/ringfence/ringfence.toml"),
        ("Begin, and do not wait", "ringfence drain --admin 127.0.0.1:9090 --no-wait"),
    ],
    codes: &[
        (0, "the daemon has ended, or with --no-wait: it drains"),
        (1, "Ctrl-C ended the waiting: the daemon goes on draining"),
        WRONG,
        UNREADABLE,
        NO_DAEMON,
        MISTAKES,
    ],
};

const NO_RECORD: (u8, &str) = (66, "a record cannot be read");

pub(super) const AUDIT: Help = Help {
    command: "audit",
    examples: &[
        ("Is the record whole", "ringfence audit verify /var/lib/ringfence/audit"),
        ("What did it come to in November", "ringfence audit report --period 2026-11 /var/lib/ringfence/audit"),
    ],
    codes: &[
        (0, "the record is whole, or what was asked for is there"),
        (1, "the record is broken, or what was asked for is not there or not proven"),
        (2, "the record is whole, with gaps; or wrong arguments"),
        NO_RECORD,
    ],
};

pub(super) const AUDIT_VERIFY: Help = Help {
    command: "audit verify",
    examples: &[
        ("Is the record whole, by a key that you got elsewhere", "ringfence audit verify --key public.key audit"),
        ("Two nodes, one week", "ringfence audit verify --since 2026-11-23 --until 2026-11-29 node1/audit node2/audit"),
        ("A packed day, without its checkpoint", "zstdcat records.jsonl.zst | ringfence audit verify -"),
        ("Does a proof prove its record", "ringfence audit verify --key public.key --proof call.json"),
    ],
    codes: &[
        (0, "the record is whole"),
        (
            1,
            "it is broken, or a target or media address was outside: the first bad line is named. With --proof: it proves nothing",
        ),
        (
            2,
            "it is whole, with gaps: lines are missing and said to be, a daemon did not close its record, or nobody has signed a day to its end; or wrong arguments",
        ),
        NO_RECORD,
    ],
};

pub(super) const AUDIT_REPORT: Help = Help {
    command: "audit report",
    examples: &[
        ("A month on a terminal", "ringfence audit report --period 2026-11 audit"),
        (
            "A page to print, over two nodes",
            "ringfence audit report --period 2026-11 --html node1/audit node2/audit > 2026-11.html",
        ),
    ],
    codes: &[
        (0, "the record of the period is whole"),
        (1, "it is broken, or something was outside"),
        (2, "it is whole, with gaps; or wrong arguments"),
        NO_RECORD,
    ],
};

pub(super) const AUDIT_PROVE: Help = Help {
    command: "audit prove",
    examples: &[
        ("A call", "ringfence audit prove --call 439428815ed29523d6516b9a6e2dbd30 audit > call.json"),
        ("One record", "ringfence audit prove --n 2026-11-25:7 audit > record.json"),
    ],
    codes: &[(0, "the proofs were printed"), (1, "no such record is here, or no checkpoint covers it yet"), WRONG, NO_RECORD],
};

pub(super) const AUDIT_FIND: Help = Help {
    command: "audit find",
    examples: &[("Which calls did a number make or get", "ringfence audit find --number +4930123456 audit")],
    codes: &[
        (0, "records were printed"),
        (1, "no record of that number is here, as far as its months still have their keys"),
        WRONG,
        NO_RECORD,
    ],
};

/// The help for every command.
pub(super) const ALL: [&Help; 21] = [
    &INIT,
    &RUN,
    &CHECK,
    &RESOLVE,
    &EXPLAIN,
    &PROBE,
    &ZONE,
    &PREFLIGHT,
    &NUMBER,
    &STATUS,
    &WATCH,
    &RELOAD,
    &DRAIN,
    &AUDIT,
    &AUDIT_VERIFY,
    &AUDIT_REPORT,
    &AUDIT_PROVE,
    &AUDIT_FIND,
    &DEMO,
    &COMPLETIONS,
    &MAN,
];

impl Help {
    /// The end of `-h`.
    pub(super) fn codes(&self) -> String {
        let lines = self.codes.iter().map(|(code, when)| format!("\n  {code:>2}  {when}"));
        std::iter::once("Exit codes:".to_owned()).chain(lines).collect()
    }

    /// The end of `--help`.
    pub(super) fn long(&self) -> String {
        let lines = self.examples.iter().map(|(what, line)| format!("\n  {what}:\n      {line}"));
        let examples: String = std::iter::once("Examples:".to_owned()).chain(lines).collect();
        format!("{examples}\n\n{}", self.codes())
    }
}
