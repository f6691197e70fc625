//! Calls whose records come in every order, and verdicts of every kind.

use super::*;

fn totals(lines: &[&str]) -> Totals {
    let mut totals = Totals::new(seconds_of("2026-11-01T00:00:00.000000Z").unwrap());
    for rest in lines {
        let (kind, rest) = rest.split_once(' ').unwrap();
        let line = format!(
            "{{\"n\":0,\"at\":\"2026-11-25T10:00:00.000000Z\",\"kind\":\"{kind}\",\"region\":\"eu\",\"project\":\"acme\",{rest}}}"
        );
        totals.take(&ReadLine::of(line.as_bytes()).unwrap(), false);
    }
    totals
}

fn of(lines: &[&str]) -> CallCounts {
    totals(lines).rows().into_values().next().unwrap()
}

const A: &str = "answer \"call\":\"000000000000000000000000000000aa\",\"code\":200";
const END: &str = "end \"call\":\"000000000000000000000000000000aa\",\"seconds\":61";

#[test]
fn a_call_is_counted_once_in_whatever_order_its_records_come() {
    for lines in [&[A, END][..], &[END, A], &[A, A, END, END], &[A, END, END]] {
        let counts = of(lines);
        assert_eq!((counts.answered, counts.ended, counts.seconds, counts.unknown()), (1, 1, 61, 0), "{lines:?}");
    }
    assert_eq!(totals(&[A, END]).calls.len(), 0);
    assert_eq!(totals(&[A, END, END]).ends_without_answer(), 1);
    assert_eq!((of(&[A]).answered, of(&[A]).unknown()), (1, 1));
    let early = "end \"call\":\"000000000000000000000000000000aa\",\"seconds\":3000000";
    assert_eq!((of(&[early]).answered, of(&[early]).ended, of(&[early]).seconds), (1, 1, 3_000_000));
    let unsaid = "end \"call\":\"000000000000000000000000000000aa\"";
    assert_eq!((of(&[A, unsaid]).ended, of(&[A, unsaid]).without_length), (1, 1));
    assert_eq!(of(&["answer \"call\":\"000000000000000000000000000000aa\",\"code\":0"]).answered, 0);
    assert_eq!(of(&["answer \"call\":\"+00000000000000000000000000000aa\",\"code\":200"]).answered, 1);
}

#[test]
fn a_call_that_is_judged_again_is_still_one_call() {
    let call = "\"call\":\"000000000000000000000000000000aa\"";
    let verdict = |verdict: &str, id: u16| format!("verdict {call},\"method\":\"INVITE\",\"verdict\":\"{verdict}\",\"id\":{id}");
    let answer = |code: u16| format!("answer {call},\"code\":{code}");
    let sums = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let counts = of(&lines);
        (counts.offered, counts.passed(), counts.refused(), counts.answered, counts.others)
    };
    let (accept, refuse) = (verdict("accept", 100), verdict("refuse", 140));
    assert_eq!(sums(&[refuse.clone(), refuse.clone()]), (1, 0, 1, 0, 1));
    // A proxy of the caller has to say who it is, and then the call goes through.
    assert_eq!(sums(&[accept.clone(), answer(407), accept.clone(), answer(200)]), (1, 1, 0, 1, 1));
    // The answer names media outside, and is refused; the telephone tries again.
    let blocked = verdict("refuse", 141);
    assert_eq!(sums(&[accept.clone(), answer(603), blocked.clone(), blocked.clone()]), (1, 1, 1, 0, 1));
    assert_eq!(sums(&[accept.clone(), blocked]), (1, 1, 1, 0, 0));
    let later = |verdict: String| format!("{verdict},\"later\":true");
    // Another region takes it, because no server here did.
    let moved = of(&[&accept, &later(verdict("accept", 101)), &answer(200)]);
    assert_eq!((moved.offered, moved.here, moved.elsewhere, moved.answered), (1, 0, 1, 1));
    assert_eq!(sums(&[later(refuse.clone())]), (0, 0, 0, 0, 1), "of a call that began before the records");
    assert_eq!(sums(&[accept.clone(), answer(603), later(verdict("refuse", 141))]), (1, 1, 1, 0, 0));
    // An INVITE inside the call is refused, and one passes in shadow mode.
    assert_eq!(sums(&[accept, answer(200), refuse, verdict("shadow", 140)]), (1, 1, 0, 1, 2));
}

#[test]
fn only_the_latest_failures_are_remembered() {
    let lines: Vec<String> = (0..2 * FAILED_KEPT)
        .map(|call| format!("verdict \"call\":\"{call:032x}\",\"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":111"))
        .collect();
    let totals = totals(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(totals.calls.len(), FAILED_KEPT);
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
        CallCounts { others: 1, ..CallCounts::default() }
    );
}
