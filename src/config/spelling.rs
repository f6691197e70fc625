//! The name that the operator probably meant: one that differs by a slip. Does not know the keys.

/// The candidate that was probably meant: it differs in at most a third of its octets.
pub(super) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A text much longer than any name is no slip of the pen, and must not cost a quadratic comparison.
    if text.len() > 64 {
        return None;
    }
    let text = text.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(text.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(3))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How many octets were inserted, left out, replaced or swapped with their neighbour (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&above, j) + usize::from(x != y)).min(cell(&above, j + 1) + 1).min(cell(&row, j) + 1);
            if let (Some(i), Some(j)) = (i.checked_sub(1), j.checked_sub(1))
                && a.get(i) == Some(y)
                && b.get(j) == Some(x)
            {
                best = best.min(cell(&before, j) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let keys = ["hostname", "networks", "listen", "upstream", "t1"];
        assert_eq!(nearest("hostnam", keys), Some("hostname"));
        assert_eq!(nearest("Network", keys), Some("networks"));
        assert_eq!(nearest("lisetn", keys), Some("listen"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"n".repeat(1000), keys), None);
        assert_eq!(nearest("medai", ["media", "mode"]), Some("media"));
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"ue", b"eu"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
    }
}
