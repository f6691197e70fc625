//! Examples and exit codes of the commands: in `--help`, and in the manual.

/// What is said of a command beside its arguments.
pub(super) struct Help {
    /// The command's name; empty: of the program.
    pub(super) command: &'static str,
    /// What is wanted, and the line that does it.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Exit codes, and when.
    pub(super) codes: &'static [(u8, &'static str)],
}

const WRONG: (u8, &str) = (2, "wrong arguments");
const UNREADABLE: (u8, &str) = (66, "FILE cannot be read");
const NO_SERVERS: (u8, &str) = (69, "there are no usable name servers");
const MISTAKES: (u8, &str) = (78, "the configuration has mistakes");

pub(super) const RUN: Help = Help {
    command: "run",
    examples: &[
        ("Run in the foreground", "ringfence run -c /etc/ringfence/ringfence.toml"),
        ("Log every verdict", "RUST_LOG=ringfence=debug ringfence run -c ringfence.toml"),
        ("Read the configuration again", "kill -HUP PID"),
    ],
    codes: &[
        (0, "drained and stopped"),
        WRONG,
        UNREADABLE,
        (69, "a listener cannot be bound, or another resource is missing"),
        MISTAKES,
    ],
};

pub(super) const CHECK: Help = Help {
    command: "check",
    examples: &[
        ("Is it right, and what does it mean", "ringfence check -c ringfence.toml"),
        ("Is every name inside, too", "ringfence check -c ringfence.toml --online"),
        ("What would a reload change", "ringfence check --diff ringfence.toml ringfence.new.toml"),
    ],
    codes: &[
        (
            0,
            "valid (there may be warnings), and with --online every address is inside for everyone who sends to its name; with --diff \
             nothing differs",
        ),
        (1, "--online: a name is outside, in part or whole, or resolves to nothing, or DNS failed"),
        WRONG,
        (3, "--diff: something differs"),
        UNREADABLE,
        (69, "--online: there are no usable name servers"),
        MISTAKES,
    ],
};

pub(super) const RESOLVE: Help = Help {
    command: "resolve",
    examples: &[
        ("Where would calls for a region's servers go", "ringfence resolve -c ringfence.toml sip:livekit.eu.internal"),
        ("The same for a machine", "ringfence resolve -c ringfence.toml --json livekit.eu.internal"),
    ],
    codes: &[
        (0, "every address is inside, for everyone in FILE who sends to NAME; if nobody does, inside some region"),
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
            "Over TCP, to region uk, without DNS",
            "ringfence explain -c ringfence.toml -s 192.0.2.7:5060 -t tcp -l uk --offline invite.txt",
        ),
    ],
    codes: &[
        (0, "it would be accepted"),
        (1, "it would be refused"),
        (2, "that cannot be told from here, or wrong arguments"),
        (66, "FILE or MESSAGE cannot be read"),
        NO_SERVERS,
        MISTAKES,
    ],
};

pub(super) const PROBE: Help = Help {
    command: "probe",
    examples: &[
        ("Does the endpoint answer", "ringfence probe sip:acme.eu.sip.example.com"),
        ("Would it take a call", "ringfence probe --invite sip:+4930123@acme.eu.sip.example.com"),
        (
            "Over TCP, by a file's name servers, and nowhere outside",
            "ringfence probe -c ringfence.toml -t tcp sip:livekit.eu.internal",
        ),
    ],
    codes: &[
        (0, "it answered 2xx, or the call rang and was cancelled"),
        (1, "another final answer: it refuses"),
        (2, "no answer, or nothing to send to, or wrong arguments"),
        UNREADABLE,
        NO_SERVERS,
        MISTAKES,
    ],
};

pub(super) const ZONE: Help = Help {
    command: "zone",
    examples: &[
        ("Records to be included in a zone", "ringfence zone -c ringfence.toml > endpoints.zone"),
        ("A whole zone", "ringfence zone -c ringfence.toml --zone eu.sip.example.com --ns ns1.example.com"),
    ],
    codes: &[
        (0, "every listener is in it"),
        (1, "something had to be left out; standard error says what and why"),
        WRONG,
        UNREADABLE,
        MISTAKES,
    ],
};

pub(super) const COMPLETIONS: Help = Help {
    command: "completions",
    examples: &[("For bash", "ringfence completions bash > /usr/share/bash-completion/completions/ringfence")],
    codes: &[(0, "printed"), WRONG],
};

pub(super) const MAN: Help = Help {
    command: "man",
    examples: &[
        ("Read the first page", "ringfence man | man -l -"),
        ("Write all pages", "ringfence man /usr/local/share/man/man1"),
    ],
    codes: &[(0, "printed or written"), (1, "DIR cannot be written to"), WRONG],
};

pub(super) const DEMO: Help = Help {
    command: "demo",
    examples: &[("See it, and look at its metrics", "ringfence demo"), ("See it in a script", "ringfence demo --once")],
    codes: &[(0, "every call ended as it should"), (1, "one did not"), WRONG],
};

/// Every command's.
pub(super) const ALL: [&Help; 9] = [&RUN, &CHECK, &RESOLVE, &EXPLAIN, &PROBE, &ZONE, &DEMO, &COMPLETIONS, &MAN];

impl Help {
    /// What ends `-h`.
    pub(super) fn codes(&self) -> String {
        let lines = self.codes.iter().map(|(code, when)| format!("\n  {code:>2}  {when}"));
        std::iter::once("Exit codes:".to_owned()).chain(lines).collect()
    }

    /// What ends `--help`.
    pub(super) fn long(&self) -> String {
        let lines = self.examples.iter().map(|(what, line)| format!("\n  {what}:\n      {line}"));
        let examples: String = std::iter::once("Examples:".to_owned()).chain(lines).collect();
        format!("{examples}\n\n{}", self.codes())
    }
}
