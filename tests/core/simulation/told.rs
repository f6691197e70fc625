//! What the audit record was told of a world: each INVITE that passed has one end.

use std::collections::BTreeMap;

use ringfence::core::io::{Note, Verdict};

use super::World;

impl World {
    /// Holds the ends that were told to the verdicts, call by call.
    pub(super) fn each_end_is_told(&self) {
        let mut open: BTreeMap<&[u8], i64> = BTreeMap::new();
        let (mut answered, mut ended) = (0, 0);
        for note in &self.site.notes {
            match note {
                Note::Verdict { verdict: Verdict::Accept | Verdict::Shadow, told: Some(told), .. }
                    if !told.later && told.method.as_slice() == b"INVITE" =>
                {
                    *open.entry(&told.call).or_default() += 1;
                }
                Note::CallAnswered(told) => {
                    *open.entry(&told.call).or_default() -= 1;
                    answered += 1;
                }
                Note::CallEnded(_) => ended += 1,
                _ => {}
            }
        }
        open.retain(|_, left| *left != 0);
        assert!(open.is_empty(), "each INVITE that passed has one end: {open:?}");
        assert!(answered > 0 && ended > 0, "there are calls");
    }
}
