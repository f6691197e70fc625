//! What `audit report` adds up, what it says only if it is true, and that no text of a record does anything.

use std::fs;

use crate::written::{WrittenNode, three_days};
use crate::{audit, change, folder, json, name, records, text};

#[test]
fn a_report_adds_up_several_nodes() {
    let (one, two) = (folder("report-1"), folder("report-2"));
    let (mut first, mut second) = (WrittenNode::new(&one, "n1", 1), WrittenNode::new(&two, "n2", 2));
    let mut day = first.begin("2026-11-25", "start");
    (1..=3).for_each(|call| day.call(call));
    day.verdict(4, "\"verdict\":\"refuse\",\"id\":140,\"reason\":\"foreign-media-offer\",\"code\":603");
    day.verdict(5, "\"verdict\":\"shadow\",\"id\":131,\"reason\":\"foreign-number\",\"direction\":\"in\",\"serving\":\"eu\",\"media_verdict\":\"outside\"");
    day.verdict(6, "\"verdict\":\"accept\",\"id\":101,\"reason\":\"failover\",\"direction\":\"in\",\"serving\":\"uk\",\"target\":\"udp:10.2.0.1:5060\"");
    let head = |call: u32| format!("\"region\":\"eu\",\"project\":\"acme\",\"trunk\":\"t\",\"call\":\"{call:032x}\"");
    day.line("answer", &format!("{},\"code\":200", head(6)));
    day.line("answer", &format!("{},\"code\":486", head(5)));
    // Realtime sessions are no calls, whatever name they have.
    for (verdict, call) in [("accept", ",\"call\":\"\""), ("accept", ""), ("refuse", ""), ("shadow", "")] {
        let rest = format!("\"verdict\":\"{verdict}\",\"id\":120,\"reason\":\"unknown-source\",\"method\":\"REALTIME\"");
        day.line("verdict", &format!("\"region\":\"eu\",\"project\":\"acme\"{call},{rest},\"source\":\"192.0.2.7:50000\""));
    }
    first.end(day, "stop");
    // The end of a call whose answer the other node has, and one that both sides ended.
    let mut day = second.begin("2026-11-25", "start");
    day.verdict(7, "\"verdict\":\"accept\",\"id\":100,\"reason\":\"in-region\",\"direction\":\"out\",\"serving\":\"eu\",\"target\":\"udp:192.0.2.9:5060\"");
    day.line("end", &format!("{},\"by\":\"caller\",\"seconds\":120", head(6)));
    day.line("end", &format!("{},\"by\":\"caller\",\"seconds\":61", head(1)));
    second.end(day, "stop");
    // Another month is not counted.
    let mut day = second.begin("2026-12-01", "start");
    day.call(8);
    second.end(day, "stop");
    let arguments = ["report", "--period", "2026-11", name(&one), name(&two)];
    let report = json(&[&arguments[..], &["--json"]].concat());
    let row = &report["rows"][0];
    for (key, count) in [
        ("offered", 7),
        ("accepted_here", 4),
        ("accepted_elsewhere", 1),
        ("refused", 1),
        ("shadow", 1),
        ("to_trunk", 1),
        ("answered", 4),
        ("ended", 4),
        ("seconds", 303),
        ("minutes", 5),
        ("end_unknown", 0),
        ("media_inside", 3),
        ("media_warned", 1),
        ("media_not_read", 2),
        ("outside", 0),
        ("length_unknown", 0),
        ("realtime_accepted", 2),
        ("realtime_refused", 1),
        ("realtime_shadow", 1),
        ("other_verdicts", 0),
        ("verdicts", 11),
    ] {
        assert_eq!(row[key], count, "{key}: {row}");
    }
    assert_eq!(row["refused_by"].to_string(), "{\"140 foreign-media-offer\":1}");
    assert_eq!((&report["ends_without_answer"], report["rows"].as_array().unwrap().len()), (&1.into(), 1));
    let sentence = report["regions"]["eu"]["sentence"].as_str().unwrap();
    assert_eq!(
        sentence,
        "Of 5 calls accepted for region eu none was sent to an address outside the networks of the region that served it (1 was \
         served by another region), and of 1 call from it none to an address outside the networks of its trunk, as of these records; \
         0 records are known to be missing. 1 call was let through although a rule refuses it, because the rule is only tried or only \
         warns."
    );
    let output = audit(&arguments);
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    for line in [
        "period 2026-11\n",
        "\neu / acme\n  offered                                     7\n",
        "    140 foreign-media-offer                   1\n",
        "  realtime accepted                           2\n",
        sentence,
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let csv = audit(&[&arguments[..], &["--csv"]].concat());
    let table: Vec<Vec<&str>> = text(&csv.stdout).lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((table.len(), table[0].len()), (2, table[1].len()));
    let value = |key: &str| table[1][table[0].iter().position(|head| *head == key).unwrap()];
    assert_eq!((value("region"), value("minutes"), value("refused 140 foreign-media-offer")), ("eu", "5", "1"));
    assert_eq!(["realtime_accepted", "realtime_refused", "realtime_shadow"].map(value), ["2", "1", "1"]);
    let page = audit(&[&arguments[..], &["--html"]].concat());
    let page = text(&page.stdout);
    let sessions = "<td class=\"number\">2</td><td class=\"number\">1</td><td class=\"number\">1</td>";
    assert!(page.contains(sessions) && page.contains(">realtime accepted</th>"), "{page}");
    assert_eq!(audit(&["verify", name(&one), name(&two)]).status.code(), Some(0));
    assert!(audit(&["report", "--period", "2026-11", "--json", "--csv", name(&one)]).status.code() == Some(2));
}

#[test]
fn nothing_is_said_that_is_not_known() {
    let path = folder("unsaid");
    three_days(&path, "n1", 1);
    let why = |period: &str| {
        let report = json(&["report", "--json", "--period", period, name(&path)]);
        report["regions"]["eu"]["why_not"].as_str().map(|why| why.replace(name(&path), "DIR"))
    };
    assert_eq!(why("2026-11"), None);
    change(&path, "2026-11-24", |lines| lines[3] = lines[3].replace("1234", "1235"));
    assert_eq!(why("2026-11-25"), None);
    let what = "the record of 2026-11-24 in DIR is broken: lines 1 to 6 are not what was sealed: line 6 says another root";
    assert_eq!(why("2026-11").as_deref(), Some(what));
    fs::remove_file(records(&path, "2026-11-24")).unwrap();
    assert_eq!(why("2026-11").as_deref(), Some("the records of 2026-11-24 in DIR are deleted"));
}

#[test]
fn no_text_of_a_record_does_anything() {
    let path = folder("hostile");
    let mut node = WrittenNode::new(&path, "n1", 1);
    let mut day = node.begin("2026-11-25", "start");
    day.line("verdict", "\"region\":\"<script>alert(1)</script>\",\"project\":\"=1+1\\u001b[2J\\u202e\",\"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":111");
    node.end(day, "stop");
    for arguments in [&["--html"][..], &["--csv"], &["--json"], &[]] {
        let output = audit(&[&["report", "--period", "2026", name(&path)], arguments].concat());
        let said = text(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said}");
        if arguments == ["--html"] {
            assert!(said.contains("&lt;script&gt;") && !said.contains("<script"), "{said}");
        }
    }
    let csv = audit(&["report", "--period", "2026", "--csv", name(&path)]);
    assert!(text(&csv.stdout).contains("\"'=1+1"), "{csv:?}");
}

#[test]
fn a_record_that_is_given_twice_is_not_counted_twice() {
    let (one, copy) = (folder("report-once"), folder("report-copy"));
    three_days(&one, "n1", 1);
    // A copy of another time: it has fewer days, and fewer lines of its last one.
    fs::create_dir_all(copy.join("2026-11-24")).unwrap();
    fs::copy(one.join("public.key"), copy.join("public.key")).unwrap();
    fs::copy(records(&one, "2026-11-24"), records(&copy, "2026-11-24")).unwrap();
    change(&copy, "2026-11-24", |lines| lines.truncate(4));
    for (first, second) in [(&one, &one), (&one, &copy), (&copy, &one)] {
        let output = audit(&["report", "--period", "2026-11", name(first), name(second)]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(66), 0), "{output:?}");
        assert!(text(&output.stderr).contains("have the same records of 2026-11-24: give each record once"), "{output:?}");
    }
    assert_eq!(audit(&["verify", name(&one), name(&one)]).status.code(), Some(0), "to verify twice does no harm");
}

#[test]
fn nothing_is_said_of_a_period_whose_first_days_are_left_out() {
    let path = folder("report-left-out");
    three_days(&path, "n1", 1);
    fs::remove_dir_all(path.join("2026-11-24")).unwrap();
    let of = |period: &str| {
        let output = audit(&["report", "--period", period, name(&path)]);
        (output.status.code(), text(&output.stdout).lines().last().unwrap().replace(name(&path), "DIR"))
    };
    let why = "Of region eu nothing can be said: the record in DIR begins with 2026-11-25, and 2026-11-24 was before that";
    assert_eq!(of("2026-11"), (Some(2), why.to_owned()));
    // A period that begins later lacks nothing.
    let (code, said) = of("2026-11-25");
    assert!(code == Some(0) && said.contains(" none was sent to an address outside "), "{said}");
}
