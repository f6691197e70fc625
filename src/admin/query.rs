//! What a request to the admin endpoint asks for behind its question mark. Reads; answers nothing.

use crate::core::io::Verdict;
use crate::reason::Reason;
use crate::telemetry::watch::WatchFilter;

/// What `/watch` is asked for. `Err`: the sentence that says what is wrong and what would be right.
pub(super) fn watch(query: Option<&str>) -> Result<WatchFilter, String> {
    let mut filter = WatchFilter::default();
    for (key, value) in pairs(query)? {
        let text = String::from_utf8_lossy(&value).into_owned();
        match key {
            "project" => drop(filter.projects.insert(text.into())),
            "reason" => filter.reasons.push(reason(&text)?),
            "verdict" => filter.verdicts.push(verdict(&text)?),
            "call_id" => filter.call_ids.push(value.into()),
            _ => return Err(format!("unknown parameter `{key}`: /watch has project, reason, call_id and verdict\n")),
        }
    }
    Ok(filter)
}

/// The Call-ID that `/refused` is asked for, if it is asked for one.
pub(super) fn refused(query: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let mut wanted = None;
    for (key, value) in pairs(query)? {
        match key {
            "call_id" if wanted.is_none() => wanted = Some(value),
            "call_id" => return Err("`call_id` stands there twice: /refused answers about one call\n".to_owned()),
            _ => return Err(format!("unknown parameter `{key}`: /refused has call_id\n")),
        }
    }
    Ok(wanted)
}

fn reason(text: &str) -> Result<Reason, String> {
    let is = |reason: &Reason| reason.token() == text || text.parse() == Ok(reason.id());
    let wrong = || format!("unknown reason `{text}`: a name or number of docs/reasons.md, for example foreign-number or 130\n");
    Reason::ALL.into_iter().find(is).ok_or_else(wrong)
}

fn verdict(text: &str) -> Result<Verdict, String> {
    let wrong = || format!("unknown verdict `{text}`: accept, refuse or shadow\n");
    Verdict::ALL.into_iter().find(|verdict| verdict.label() == text).ok_or_else(wrong)
}

/// Keys with their values. A plus sign stands for itself, because it stands in Call-IDs.
fn pairs(query: Option<&str>) -> Result<Vec<(&str, Vec<u8>)>, String> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    let pair = |part| {
        let (key, value) = str::split_once(part, '=').ok_or_else(|| format!("`{part}` has no value: `{part}=…`\n"))?;
        Ok((key, decoded(value).ok_or_else(|| format!("`%` in `{value}` must have two hexadecimal digits behind it\n"))?))
    };
    parts.map(pair).collect()
}

/// A value without its escapes.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let mut digit = || char::from(octets.next()?).to_digit(16);
        let (tens, ones) = (digit()?, digit()?);
        out.push(u8::try_from(tens * 16 + ones).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_what_is_not_known_is_said() {
        let query = "project=acme&project=b%2Dc&reason=foreign-number&reason=110&verdict=shadow&call_id=a+b%40h&";
        let filter = watch(Some(query)).unwrap();
        assert!(filter.projects.len() == 2 && filter.projects.contains("b-c"), "{filter:?}");
        assert_eq!(filter.reasons.iter().map(|reason| reason.id()).collect::<Vec<_>>(), [131, 110]);
        assert_eq!((filter.verdicts, filter.call_ids), (vec![Verdict::Shadow], vec![Box::from(*b"a+b@h")]));
        assert!(watch(None).unwrap().call_ids.is_empty());
        for (query, wrong) in [
            ("projects=acme", "unknown parameter `projects`: /watch has project, reason, call_id and verdict"),
            ("reason=foreign", "unknown reason `foreign`: a name or number"),
            ("reason=99", "unknown reason `99`"),
            ("verdict=no", "unknown verdict `no`: accept, refuse or shadow"),
            ("call_id", "`call_id` has no value"),
            ("call_id=%4", "must have two hexadecimal digits"),
            ("call_id=%zz", "must have two hexadecimal digits"),
        ] {
            let said = watch(Some(query)).unwrap_err();
            assert!(said.contains(wrong) && said.ends_with('\n'), "{query}: {said}");
        }
        assert_eq!(refused(None), Ok(None));
        assert_eq!(refused(Some("call_id=%C3%A9")), Ok(Some("é".as_bytes().to_vec())));
        assert!(refused(Some("call_id=a&call_id=b")).unwrap_err().contains("twice"));
        assert!(refused(Some("project=a")).unwrap_err().contains("/refused has call_id"));
    }
}
