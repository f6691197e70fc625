//! The dashboard, described: an operator's questions in order, each with its panels.

/// How a panel looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lines over time.
    Lines,
    /// One number.
    Number,
    /// Up or down over time, a bar for each series.
    States,
}

pub(crate) struct Panel {
    pub(crate) kind: Kind,
    pub(crate) title: &'static str,
    /// What it tells, and what to do about it.
    pub(crate) about: &'static str,
    pub(crate) unit: &'static str,
    /// Expression and legend.
    pub(crate) queries: &'static [(&'static str, &'static str)],
}

const fn lines(
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { kind: Kind::Lines, title, about, unit, queries }
}

const fn number(
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { kind: Kind::Number, title, about, unit, queries }
}

pub(crate) const ROWS: &[(&str, &[Panel])] = &[
    (
        "Are calls flowing?",
        &[
            number("Nodes that take calls", "As /readyz says.", "none", &[("sum(ringfence_ready)", "ready")]),
            number(
                "Accepted",
                "Requests outside dialogs that passed.",
                "reqps",
                &[(
                    "sum(region_project:ringfence_verdicts:rate5m{region=~\"$region\", project=~\"$project\", verdict=\"accept\"})",
                    "accepted",
                )],
            ),
            number(
                "Refused",
                "Requests that got a final answer here.",
                "reqps",
                &[(
                    "sum(region_project:ringfence_verdicts:rate5m{region=~\"$region\", project=~\"$project\", verdict=\"refuse\"})",
                    "refused",
                )],
            ),
            number(
                "Calls being set up",
                "Open INVITE transactions.",
                "none",
                &[("sum(ringfence_transactions{region=~\"$region\", kind=\"invite\"})", "open")],
            ),
            lines(
                "Verdicts",
                "shadow: would have been refused.",
                "reqps",
                &[(
                    "sum by (verdict) (region_project:ringfence_verdicts:rate5m{region=~\"$region\", project=~\"$project\"})",
                    "{{verdict}}",
                )],
            ),
            lines(
                "Requests by method",
                "",
                "reqps",
                &[("sum by (method) (rate(ringfence_requests_total{region=~\"$region\"}[5m])) > 0", "{{method}}")],
            ),
            lines(
                "Answers sent, by code",
                "",
                "reqps",
                &[(
                    "sum by (code) (rate(ringfence_responses_total{region=~\"$region\", direction=\"out\"}[5m])) > 0",
                    "{{code}}",
                )],
            ),
            lines(
                "What became of messages",
                "Adds up to what was received.",
                "reqps",
                &[
                    ("sum by (outcome) (rate(ringfence_messages_total{region=~\"$region\"}[5m])) > 0", "{{outcome}}"),
                    ("sum(rate(ringfence_received_total{region=~\"$region\"}[5m]))", "received"),
                ],
            ),
        ],
    ),
    (
        "What is refused, and why?",
        &[
            lines(
                "Refusals by reason",
                "docs/reasons.md says what to do about each.",
                "reqps",
                &[(
                    "sum by (reason) (region_project:ringfence_verdicts:rate5m{region=~\"$region\", project=~\"$project\", verdict=\"refuse\"}) > 0",
                    "{{reason}}",
                )],
            ),
            lines(
                "Policy refusals by project",
                "A jump is a carrier or a customer who has changed something.",
                "reqps",
                &[(
                    "sum by (project) (region_project:ringfence_policy_refusals:rate15m{region=~\"$region\", project=~\"$project\"})",
                    "{{project}}",
                )],
            ),
            lines(
                "Shadow mode would refuse",
                "",
                "reqps",
                &[(
                    "sum by (project, reason) (region_project:ringfence_verdicts:rate5m{region=~\"$region\", project=~\"$project\", verdict=\"shadow\"}) > 0",
                    "{{project}} {{reason}}",
                )],
            ),
            lines(
                "Malformed",
                "",
                "reqps",
                &[("sum by (cause) (rate(ringfence_malformed_total{region=~\"$region\"}[5m])) > 0", "{{cause}}")],
            ),
        ],
    ),
    (
        "Who retries what was refused?",
        &[lines(
            "Calls that came again, by trunk",
            "Not 0 for long: the trunk's profile does not stop its carrier.",
            "none",
            &[(
                "sum by (project, trunk) (increase(ringfence_repeats_total{region=~\"$region\", project=~\"$project\"}[15m]))",
                "{{project}} {{trunk}}",
            )],
        )],
    ),
    (
        "Which servers are up?",
        &[
            Panel {
                kind: Kind::States,
                title: "Servers",
                about: "/status says why one is down.",
                unit: "none",
                queries: &[("max by (region, target) (ringfence_upstream_up{region=~\"$region\"})", "{{region}} {{target}}")],
            },
            lines(
                "Answers received, by code",
                "",
                "reqps",
                &[("sum by (code) (rate(ringfence_responses_total{region=~\"$region\", direction=\"in\"}[5m])) > 0", "{{code}}")],
            ),
            lines(
                "First response of a server, 95th percentile",
                "A server that answers nothing is not in it.",
                "s",
                &[("region:ringfence_upstream_seconds:p95_5m{region=~\"$region\"}", "{{region}}")],
            ),
        ],
    ),
    (
        "Does DNS answer?",
        &[
            lines(
                "Look-ups",
                "",
                "reqps",
                &[("sum by (type, result) (rate(ringfence_dns_lookups_total[5m])) > 0", "{{type}} {{result}}")],
            ),
            lines(
                "Addresses outside the region, and names without any",
                "Outside: never used. Wrong or forged answers, or networks that lack a server. Vanished: used as it was for a while.",
                "none",
                &[
                    ("sum by (region) (increase(ringfence_dns_outside_total{region=~\"$region\"}[15m]))", "{{region}}"),
                    (
                        "sum by (region) (increase(ringfence_dns_vanished_total{region=~\"$region\"}[15m]))",
                        "{{region}}: vanished",
                    ),
                ],
            ),
            lines(
                "Beyond their TTL",
                "How long the oldest answer has outlived its TTL because DNS says nothing new.",
                "s",
                &[("max by (region) (ringfence_dns_stale_seconds{region=~\"$region\"})", "{{region}}")],
            ),
        ],
    ),
    (
        "Where does media go?",
        &[
            lines(
                "Messages judged by their media",
                "",
                "reqps",
                &[(
                    "sum by (direction, result) (rate(ringfence_media_checked_total{region=~\"$region\"}[5m])) > 0",
                    "{{direction}} {{result}}",
                )],
            ),
            Panel {
                kind: Kind::States,
                title: "Carriers' gateways",
                about: "Where a trunk has ping.",
                unit: "none",
                queries: &[(
                    "max by (project, trunk, gateway) (ringfence_gateway_up{region=~\"$region\"})",
                    "{{trunk}} of {{project}}: {{gateway}}",
                )],
            },
            Panel {
                kind: Kind::States,
                title: "Media relays",
                about: "rtpengine, where a project has media = relay.",
                unit: "none",
                queries: &[("min by (region, relay) (ringfence_relay_up{region=~\"$region\"})", "{{region}} {{relay}}")],
            },
            lines(
                "Questions to relays",
                "",
                "reqps",
                &[(
                    "sum by (command, result) (rate(ringfence_relay_requests_total{region=~\"$region\"}[5m])) > 0",
                    "{{command}} {{result}}",
                )],
            ),
            lines(
                "Calls through relays",
                "",
                "reqps",
                &[("sum by (region) (rate(ringfence_relay_calls_total{region=~\"$region\"}[5m]))", "{{region}}")],
            ),
        ],
    ),
    (
        "How long does it take?",
        &[
            lines(
                "INVITE to the first response above 100, 95th percentile",
                "",
                "s",
                &[("region:ringfence_setup_seconds:p95_5m{region=~\"$region\"}", "{{region}}")],
            ),
            lines(
                "A verdict",
                "",
                "s",
                &[
                    ("histogram_quantile(0.5, sum by (le) (rate(ringfence_decision_seconds_bucket[5m])))", "median"),
                    ("histogram_quantile(0.99, sum by (le) (rate(ringfence_decision_seconds_bucket[5m])))", "99th percentile"),
                ],
            ),
        ],
    ),
    (
        "Is there room?",
        &[
            lines(
                "CPU",
                "One message thread: 1 is all of it.",
                "none",
                &[("rate(process_cpu_seconds_total{job=\"ringfence\"}[5m])", "{{instance}}")],
            ),
            lines("Memory", "", "bytes", &[("process_resident_memory_bytes{job=\"ringfence\"}", "{{instance}}")]),
            lines(
                "Descriptors used",
                "",
                "percentunit",
                &[("process_open_fds{job=\"ringfence\"} / process_max_fds{job=\"ringfence\"}", "{{instance}}")],
            ),
            lines(
                "Open transactions",
                "[limits] transactions bounds them.",
                "none",
                &[("sum by (region, kind) (ringfence_transactions{region=~\"$region\"})", "{{region}} {{kind}}")],
            ),
            lines(
                "Octets in transactions",
                "[limits] memory bounds them.",
                "bytes",
                &[("ringfence_memory_octets{job=\"ringfence\"}", "{{instance}}")],
            ),
            lines(
                "Shares used up",
                "Requests turned away because their trunk holds its share; those of others pass.",
                "reqps",
                &[(
                    "sum by (project, trunk, share) (rate(ringfence_shares_used_up_total{region=~\"$region\", project=~\"$project\"}[5m])) > 0",
                    "{{project}} {{trunk}} {{share}}",
                )],
            ),
            lines(
                "Numbers by country",
                "out: called; in: calling, by trunks with callers.",
                "reqps",
                &[(
                    "sum by (direction, country) (rate(ringfence_numbers_total{region=~\"$region\"}[5m])) > 0",
                    "{{direction}} {{country}}",
                )],
            ),
            lines(
                "Emergency calls",
                "They pass whatever their country, and beyond the rate.",
                "none",
                &[(
                    "sum by (project, trunk) (increase(ringfence_emergency_total{region=~\"$region\", project=~\"$project\"}[15m])) > 0",
                    "{{project}} {{trunk}}",
                )],
            ),
            lines(
                "Open connections",
                "[limits] connections bounds them.",
                "none",
                &[("sum by (region, transport) (ringfence_connections{region=~\"$region\"})", "{{region}} {{transport}}")],
            ),
            lines(
                "Requests sent again",
                "On a fresh connection, because theirs was lost before an answer came.",
                "reqps",
                &[(
                    "sum by (region, transport) (rate(ringfence_resent_total{region=~\"$region\"}[5m])) > 0",
                    "{{region}} {{transport}}",
                )],
            ),
            lines(
                "TLS handshakes that failed",
                "in: clients'; out: with servers.",
                "reqps",
                &[(
                    "sum by (direction, result) (rate(ringfence_tls_handshakes_total{region=~\"$region\", result!=\"done\"}[5m])) > 0",
                    "{{direction}} {{result}}",
                )],
            ),
            lines(
                "Copies for collectors",
                "full: lost, the queue had no room.",
                "reqps",
                &[("sum by (result) (rate(ringfence_hep_packets_total[5m])) > 0", "{{result}}")],
            ),
            lines(
                "Who watches decisions",
                "At most 8, at /watch of the admin listener.",
                "none",
                &[("sum by (instance) (ringfence_watchers)", "{{instance}}")],
            ),
            lines(
                "Decisions that nobody was told of",
                "watch: a watcher reads too slowly. refused: too many to be kept for /refused.",
                "reqps",
                &[("sum by (by) (rate(ringfence_unseen_decisions_total[5m])) > 0", "{{by}}")],
            ),
            lines(
                "Thrown away without a word",
                "",
                "reqps",
                &[("sum by (cause) (rate(ringfence_dropped_total{region=~\"$region\"}[5m])) > 0", "{{cause}}")],
            ),
        ],
    ),
    (
        "Is the record kept?",
        &[
            lines(
                "Audit records",
                "dropped: missing for ever; a gap says so.",
                "reqps",
                &[("sum by (instance, result) (rate(ringfence_audit_records_total[5m]))", "{{instance}} {{result}}")],
            ),
            lines(
                "Audit records that wait for the disk",
                "The spool holds 65536.",
                "none",
                &[("max by (instance) (ringfence_audit_behind_records)", "{{instance}}")],
            ),
            lines(
                "Since the last checkpoint",
                "None is written while there are no new records.",
                "s",
                &[("time() - max by (instance) (ringfence_audit_checkpoint_timestamp_seconds)", "{{instance}}")],
            ),
        ],
    ),
    (
        "Do realtime clients get in?",
        &[
            lines(
                "Realtime clients that ask",
                "What became of them is in the verdicts, with those of calls.",
                "reqps",
                &[(
                    "sum by (region) (rate(ringfence_requests_total{region=~\"$region\", method=\"REALTIME\"}[5m]))",
                    "{{region}}",
                )],
            ),
            lines(
                "Connections of reverse proxies",
                "At most `connections` of [gate].",
                "none",
                &[("max by (instance) (ringfence_gate_connections)", "{{instance}}")],
            ),
            lines(
                "Turned away by the gate",
                "outside: no reverse proxy of a region. full: there was no room.",
                "reqps",
                &[("sum by (cause) (rate(ringfence_gate_turned_away_total[5m])) > 0", "{{cause}}")],
            ),
        ],
    ),
    (
        "What is running?",
        &[
            lines(
                "Nodes by configuration",
                "More than one digest: nodes differ.",
                "none",
                &[("sum by (digest) (ringfence_config_info)", "{{digest}}")],
            ),
            lines(
                "Until the certificate ends",
                "A reload takes the next one in.",
                "s",
                &[("min by (region) (ringfence_tls_certificate_expiry_seconds{region=~\"$region\"}) - time()", "{{region}}")],
            ),
            lines("Nodes by version", "", "none", &[("sum by (version) (ringfence_build_info)", "{{version}}")]),
            lines(
                "Reloads",
                "",
                "none",
                &[("sum by (instance, result) (increase(ringfence_config_reloads_total[15m]))", "{{instance}} {{result}}")],
            ),
        ],
    ),
];

/// What the dashboard's variables choose from.
pub(crate) const REGIONS: &str = "ringfence_received_total";
pub(crate) const PROJECTS: &str = "ringfence_verdicts_total{region=~\"$region\"}";

/// Every expression on it.
pub(crate) fn queries() -> impl Iterator<Item = &'static str> {
    let panels = ROWS.iter().flat_map(|(_, panels)| panels.iter());
    panels.flat_map(|panel| panel.queries.iter().map(|(expr, _)| *expr)).chain([REGIONS, PROJECTS])
}
