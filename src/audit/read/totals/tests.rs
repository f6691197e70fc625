//! Calls whose records come in every order, and verdicts of every kind.

use super::*;

fn totals(lines: &[&str]) -> Totals {
    let mut totals = Totals::new(seconds_of("2026-11-01T00:00:00.000000Z").unwrap());
    for rest in lines {
        take(&mut totals, "2026-11-25T10:00:00", rest);
    }
    totals
}

fn take(totals: &mut Totals, at: &str, rest: &str) {
    let (kind, rest) = rest.split_once(' ').unwrap();
    let line = format!("{{\"n\":0,\"at\":\"{at}.000000Z\",\"kind\":\"{kind}\",\"region\":\"eu\",\"project\":\"acme\",{rest}}}");
    totals.take(&ReadLine::of(line.as_bytes()).unwrap(), false);
}

fn of(lines: &[&str]) -> CallCounts {
    totals(lines).rows().into_values().next().unwrap()
}

const A: &str = "answer \"call\":\"000000000000000000000000000000aa\",\"code\":200";
const END: &str = "end \"call\":\"000000000000000000000000000000aa\",\"seconds\":61";

#[test]
fn a_call_has_its_minutes_in_whatever_order_its_records_come() {
    for lines in [&[A, END][..], &[END, A], &[A, END, END], &[END, END, A]] {
        let totals = totals(lines);
        let counts = totals.rows().into_values().next().unwrap();
        assert_eq!((counts.answered, counts.ended, counts.seconds, counts.unknown()), (1, 1, 61, 0), "{lines:?}");
        assert_eq!(totals.ends_without_answer(), lines.len() as u64 - 2, "{lines:?}");
    }
    assert_eq!((of(&[A]).answered, of(&[A]).unknown()), (1, 1));
    let early = "end \"call\":\"000000000000000000000000000000aa\",\"seconds\":3000000";
    assert_eq!((of(&[early]).answered, of(&[early]).ended, of(&[early]).seconds), (1, 1, 3_000_000));
    assert_eq!(of(&["answer \"call\":\"000000000000000000000000000000aa\",\"code\":0"]).answered, 0);
    assert_eq!(of(&["answer \"call\":\"+00000000000000000000000000000aa\",\"code\":200"]).answered, 1);
    assert_eq!(totals(&["end \"seconds\":1"]).ends_without_answer(), 1, "it has no name");
}

/// The callee's token says when the INVITE came, and a daemon that was not told the time says nothing.
#[test]
fn an_end_that_does_not_say_the_length_still_has_one() {
    let call = "\"call\":\"000000000000000000000000000000aa\"";
    let answer = |at, setup: &str| (at, format!("answer {call},\"code\":200{setup}"));
    let end = |at, said: &str| (at, format!("end {call},\"by\":\"callee\"{said}"));
    let length = |lines: &[(&str, String)]| {
        let mut totals = Totals::new(seconds_of("2026-11-01T00:00:00.000000Z").unwrap());
        for (at, line) in lines {
            take(&mut totals, at, line);
        }
        let counts = totals.rows().into_values().next().unwrap();
        assert_eq!(totals.ends_without_answer(), u64::from(counts.ended == 0));
        (counts.answered, counts.ended, counts.seconds, counts.without_length)
    };
    let (setup, since) = (",\"setup_ms\":5400", ",\"since_invite\":66");
    let (ten, later) = ("2026-11-25T10:00:00", "2026-11-25T10:01:02");
    assert_eq!(length(&[answer(ten, setup), end(later, since)]), (1, 1, 61, 0));
    assert_eq!(length(&[end(later, since), answer(ten, setup)]), (1, 1, 61, 0), "the answer is in another node's record");
    assert_eq!(length(&[answer(ten, ""), end(later, since)]), (1, 1, 62, 0));
    assert_eq!(length(&[answer(ten, setup), end(later, "")]), (1, 1, 62, 0));
    // It began before the period, and no record says when it was answered.
    assert_eq!(length(&[end(ten, ",\"since_invite\":3000000")]), (1, 1, 0, 1));
    // What ended long before an answer is not its end.
    let other = "2026-11-25T11:00:00";
    assert_eq!(length(&[end(later, ",\"seconds\":60"), answer(other, "")]), (1, 0, 0, 0));
}

#[test]
fn each_invite_that_opens_a_call_is_one() {
    let call = "\"call\":\"000000000000000000000000000000aa\"";
    let verdict = |verdict: &str, id: u16| format!("verdict {call},\"method\":\"INVITE\",\"verdict\":\"{verdict}\",\"id\":{id}");
    let answer = |code: u16| format!("answer {call},\"code\":{code}");
    let counts = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let counts = of(&lines);
        let verdicts = lines.iter().filter(|line| line.starts_with("verdict")).count();
        assert_eq!(counts.verdicts, verdicts as u64);
        counts
    };
    let sums = |lines: &[String]| {
        let counts = counts(lines);
        (counts.offered, counts.passed(), counts.refused(), counts.answered, counts.others)
    };
    let (accept, refuse, end) = (verdict("accept", 100), verdict("refuse", 140), END.to_owned());
    let later = |verdict: String| format!("{verdict},\"later\":true");
    let served = |verdict: String| format!("{verdict},\"later\":true,\"serving\":\"eu\"");
    // Two calls whose caller gives them one name, and one that is tried again.
    assert_eq!(sums(&[accept.clone(), accept.clone(), answer(200), answer(200)]), (2, 2, 0, 2, 0));
    let two = counts(&[accept.clone(), answer(200), accept.clone(), answer(200), end.clone(), end]);
    assert_eq!((two.answered, two.ended, two.seconds), (2, 2, 122));
    assert_eq!(sums(&[refuse.clone(), refuse.clone()]), (2, 0, 2, 0, 0));
    assert_eq!(sums(&[accept.clone(), answer(407), accept.clone(), answer(200)]), (2, 2, 0, 1, 0));
    // The answer names media outside, and is refused; the telephone tries again.
    assert_eq!(sums(&[accept.clone(), answer(603), served(verdict("refuse", 141)), verdict("refuse", 141)]), (2, 1, 2, 0, 0));
    // Another region takes it, because no server here did; and then another one.
    let moved = [accept.clone(), later(verdict("accept", 101)), later(verdict("accept", 101)), answer(200)];
    let moved = counts(&moved);
    assert_eq!((moved.offered, moved.here, moved.elsewhere, moved.answered, moved.others), (1, 0, 1, 1, 1));
    let tried = counts(&[accept.clone(), verdict("shadow", 140), later(verdict("accept", 101))]);
    assert_eq!((tried.here, tried.elsewhere, tried.shadow), (1, 0, 1), "what was let through in shadow stays there");
    // Requests inside a call.
    assert_eq!(sums(&[later(refuse.clone())]), (0, 0, 0, 0, 1), "of a call that began before the records");
    assert_eq!(sums(&[accept, answer(200), later(refuse), later(verdict("shadow", 140))]), (1, 1, 0, 1, 2));
}

/// The sender of an answer that was refused is told that its call is over. That is no end of a call that had one.
#[test]
fn what_the_daemon_ends_after_a_refused_answer_is_no_call() {
    let call = "\"call\":\"000000000000000000000000000000aa\"";
    let lines = [
        format!("verdict {call},\"method\":\"INVITE\",\"verdict\":\"accept\",\"id\":100"),
        format!("answer {call},\"code\":603"),
        format!("verdict {call},\"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":141,\"later\":true,\"serving\":\"eu\""),
        format!("end {call},\"by\":\"daemon\",\"since_invite\":5"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let counts = of(&lines);
    assert_eq!((totals(&lines).ends_without_answer(), counts.answered, counts.ended, counts.refused()), (0, 0, 0, 1));
    let unknown = "end \"call\":\"000000000000000000000000000000bb\",\"by\":\"daemon\",\"since_invite\":5";
    assert_eq!(totals(&[unknown]).ends_without_answer(), 1);
}

/// One fork answers, and another one whose answer is refused. The daemon ends that.
#[test]
fn a_fork_that_the_daemon_ends_takes_no_minutes_of_the_call() {
    let fork = "end \"call\":\"000000000000000000000000000000aa\",\"by\":\"daemon\"";
    let totals = totals(&[A, fork, END]);
    let counts = totals.rows().into_values().next().unwrap();
    assert_eq!((counts.answered, counts.ended, counts.seconds, totals.ends_without_answer()), (1, 1, 61, 0));
}

#[test]
fn each_verdict_is_in_one_column() {
    let accept = |rest: &str| of(&[&format!("verdict \"method\":\"INVITE\",\"verdict\":\"accept\",{rest}")]);
    assert_eq!(accept("\"id\":100").here, 1);
    assert_eq!(accept("\"id\":101").elsewhere, 1);
    assert_eq!(accept("\"id\":100,\"direction\":\"out\"").out, 1);
    assert_eq!(accept("\"id\":100,\"media_verdict\":\"inside\"").inside, 1);
    assert_eq!(accept("\"id\":100,\"media_verdict\":\"none\"").no_media, 1);
    assert_eq!(accept("\"id\":100,\"media_verdict\":\"inside\",\"relay\":\"10.0.0.1:22222\"").relayed, 1);
    assert_eq!(accept("\"id\":100").not_read, 1);
    assert_eq!(accept("\"id\":100,\"media_verdict\":\"outside\"").warned, 1);
    let refused = of(&[
        "verdict \"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":171",
        "verdict \"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":9",
    ]);
    assert_eq!((refused.offered, refused.refused(), refused.refused[OTHER], refused.passed()), (2, 2, 1, 0));
    let shadow = of(&["verdict \"method\":\"INVITE\",\"verdict\":\"shadow\",\"id\":131"]);
    assert_eq!((shadow.offered, shadow.shadow, shadow.passed()), (1, 1, 1));
    assert_eq!(
        of(&["verdict \"method\":\"OPTIONS\",\"verdict\":\"accept\",\"id\":100"]),
        CallCounts { verdicts: 1, others: 1, ..CallCounts::default() }
    );
    let realtime = of(&[
        "verdict \"method\":\"REALTIME\",\"verdict\":\"accept\",\"id\":100",
        "verdict \"method\":\"REALTIME\",\"verdict\":\"accept\",\"id\":100,\"call\":\"\"",
        "verdict \"method\":\"REALTIME\",\"verdict\":\"refuse\",\"id\":120",
        "verdict \"method\":\"REALTIME\",\"verdict\":\"shadow\",\"id\":130",
    ]);
    let sessions = RealtimeCounts { accepted: 2, refused: 1, shadow: 1 };
    let named_so = of(&["verdict \"method\":\"REALTIME\",\"verdict\":\"refuse\",\"id\":120,\"transport\":\"udp\""]);
    assert_eq!((named_so.realtime.refused, named_so.others), (0, 1));
    assert_eq!(realtime, CallCounts { verdicts: 4, realtime: sessions, ..CallCounts::default() });
}
