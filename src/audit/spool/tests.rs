//! Slots in and out, a full spool, kills at any octet, spools of others.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// A file of its own, gone at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringfence-spool-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn open(&self, slots: u64) -> (Spool, SpoolReader, Found) {
        Spool::open(&self.0, slots).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn put(spool: &mut Spool, at: u64, text: &str) -> bool {
    spool.write(at, |slot| {
        slot[..text.len()].copy_from_slice(text.as_bytes());
        text.len()
    })
}

/// What is there now, as texts, with how many were dropped before.
fn take(reader: &mut SpoolReader) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    while let Some(slot) = reader.next().unwrap() {
        let text = match slot.within {
            Within::Record(octets) => String::from_utf8(octets.to_vec()).unwrap(),
            Within::Mark(number) => format!("mark {number}"),
            Within::Begin { number, goes_on } => format!("{} {number}", if goes_on { "go on" } else { "begin" }),
            Within::TooLong => "too long".to_owned(),
            Within::Damaged => "damaged".to_owned(),
        };
        all.push((text, slot.lost.count));
    }
    all
}

fn store(reader: &mut SpoolReader, told: u64) {
    let position = Position { slot: reader.next_slot(), told, ..reader.stored() };
    reader.store(position).unwrap();
}

#[test]
fn records_come_out_in_order_and_a_full_spool_drops_the_newest() {
    let place = Place::new("order");
    let (mut spool, mut reader, found) = place.open(4);
    assert_eq!(found, Found::Nothing);
    let kept: Vec<bool> = (1..=6).map(|at| put(&mut spool, at, &format!("r{at}"))).collect();
    assert_eq!(kept, [true, true, true, true, false, false]);
    assert_eq!(spool.level().lost(), Lost { count: 2, from: 5, to: 6 });
    let texts = |all: Vec<(String, u64)>| all.into_iter().map(|(text, lost)| format!("{text} {lost}")).collect::<Vec<_>>();
    assert_eq!(texts(take(&mut reader)), ["r1 0", "r2 0", "r3 0", "r4 0"]);
    assert!(!put(&mut spool, 7, "r7"), "nothing is free before it is on the disk");
    store(&mut reader, 0);
    assert!(put(&mut spool, 8, "r8"));
    spool.mark(SystemTime::UNIX_EPOCH, 77);
    assert!(!spool.write(9, |_| 0) && !spool.write(9, |_| LONGEST + 1));
    assert_eq!(texts(take(&mut reader)), ["r8 3", "mark 77 3", "too long 3", "too long 3"]);
    assert_eq!(spool.level().lost().count, 3, "a record that is too long is told by its slot");
}

#[test]
fn a_mark_without_room_comes_before_the_next_record() {
    let place = Place::new("mark");
    let (mut spool, mut reader, _) = place.open(2);
    assert!(put(&mut spool, 1, "a") && put(&mut spool, 2, "b"));
    spool.mark(SystemTime::UNIX_EPOCH, 5);
    take(&mut reader);
    store(&mut reader, 0);
    assert!(put(&mut spool, 3, "c"));
    assert_eq!(take(&mut reader), [("mark 5".to_owned(), 0), ("c".to_owned(), 0)]);
}

#[test]
fn a_beginning_without_room_comes_before_the_next_record_with_the_latest_configuration() {
    let place = Place::new("begin");
    let (mut spool, mut reader, _) = place.open(2);
    spool.begin(1, 4);
    assert!(put(&mut spool, 1, "a"));
    spool.begin(2, 5);
    spool.mark(SystemTime::UNIX_EPOCH, 6);
    take(&mut reader);
    store(&mut reader, 0);
    assert!(put(&mut spool, 3, "c"));
    assert_eq!(take(&mut reader), [("begin 6".to_owned(), 0), ("c".to_owned(), 0)]);
}

#[test]
fn the_next_process_goes_on_where_the_killed_one_stood() {
    let place = Place::new("killed");
    let (mut spool, mut reader, _) = place.open(8);
    for at in 1..=6 {
        put(&mut spool, at, &format!("r{at}"));
    }
    assert_eq!(take(&mut reader).len(), 6);
    let position =
        Position { slot: 4, day: 20_000, octets: 99, lines: 4, root: [7; 32], told: 0, mark: 3, ..Position::default() };
    reader.store(position).unwrap();
    for at in 7..=14 {
        put(&mut spool, at, &format!("r{at}"));
    }
    // The spool had room for six of these.
    drop((spool, reader));
    let (mut spool, mut reader, found) = place.open(8);
    let left = Position { generation: 2, ..position };
    assert_eq!((found, reader.stored()), (Found::Left(left), left));
    assert_eq!(spool.level().behind(), 8);
    let texts: Vec<String> = take(&mut reader).into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12"]);
    assert_eq!(spool.level().lost(), Lost { count: 2, from: 13, to: 14 }, "what was dropped before the kill is not forgotten");
    store(&mut reader, 2);
    assert!(put(&mut spool, 15, "r15"));
    assert_eq!(take(&mut reader), [("r15".to_owned(), 2)]);
}

#[test]
fn one_daemon_has_it_and_other_files_are_left_alone() {
    let place = Place::new("others");
    let (spool, reader, _) = place.open(4);
    assert!(matches!(Spool::open(&place.0, 4), Err(SpoolError::Taken)));
    drop((spool, reader));
    std::fs::write(&place.0, "somebody's letter, longer than a header of this file would be").unwrap();
    assert!(matches!(Spool::open(&place.0, 4), Err(SpoolError::Strange)));
    assert!(std::fs::read_to_string(&place.0).unwrap().starts_with("somebody's letter"));
}

#[test]
fn what_another_version_left_is_counted() {
    let place = Place::new("version");
    let (mut spool, mut reader, _) = place.open(8);
    for at in 1..=11 {
        put(&mut spool, at, "x");
        if at == 5 {
            take(&mut reader);
            store(&mut reader, 0);
        }
    }
    spool.file.write_all_at(&9_u32.to_le_bytes(), 16).unwrap();
    drop((spool, reader));
    let (spool, mut reader, found) = place.open(16);
    assert_eq!(found, Found::Foreign(6));
    assert_eq!((spool.level().behind(), take(&mut reader).len()), (0, 0));
}

#[test]
fn a_slot_that_was_not_written_whole_is_damaged_and_those_behind_it_are_read() {
    let place = Place::new("torn");
    let (mut spool, reader, _) = place.open(8);
    for at in 1..=4 {
        put(&mut spool, at, "abcdef");
    }
    spool.file.write_all_at(b"X", HEADER + SLOT as u64 + HEAD as u64 + 3).unwrap();
    drop((spool, reader));
    let (_spool, mut reader, _) = place.open(8);
    let texts: Vec<String> = take(&mut reader).into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["abcdef", "damaged", "abcdef", "abcdef"]);
}

#[test]
fn damaged_slots_at_the_end_are_counted_and_no_later_round_takes_them_for_others() {
    let place = Place::new("end");
    let damage = |spool: &Spool, number: u64| spool.file.write_all_at(b"octets", HEADER + number % 4 * SLOT as u64).unwrap();
    let (mut spool, mut reader, _) = place.open(4);
    for round in 0..3 {
        put(&mut spool, 1, "a");
        put(&mut spool, 2, "b");
        let first = reader.next_slot();
        damage(&spool, first);
        damage(&spool, first + 1);
        drop((spool, reader));
        (spool, reader, _) = place.open(4);
        assert_eq!((reader.damaged(), reader.left() - first), (2, 2), "round {round}");
        // Killed before anything was stored: they are still known.
        drop((spool, reader));
        (spool, reader, _) = place.open(4);
        assert_eq!((reader.damaged(), reader.pass_damaged().unwrap()), (2, 2), "round {round}");
        put(&mut spool, 3, "c");
        assert_eq!(take(&mut reader), [("c".to_owned(), 0)]);
        store(&mut reader, 0);
        // The places of these come again two rounds later, without damage.
        drop((spool, reader));
        (spool, reader, _) = place.open(4);
        assert_eq!((reader.damaged(), spool.level().behind()), (0, 0), "round {round}");
    }
}

#[test]
fn a_spool_is_of_a_record_by_either_token_and_of_nobody_once_it_is_damaged() {
    let place = Place::new("owner");
    let (spool, mut reader, _) = place.open(4);
    let [former, token, other] = [[1; 16], [2; 16], [3; 16]];
    assert!(!reader.owner().is_of(&former));
    // Killed here, the record has the one or the other.
    reader.own([former, token], true).unwrap();
    let read = || owner::Owner::read(&spool.file).unwrap();
    assert_eq!([former, token, other].map(|of| read().is_of(&of)), [true, true, false]);
    assert!(read().doubt);
    reader.own([token; 2], true).unwrap();
    reader.doubt(false).unwrap();
    assert_eq!([former, token].map(|of| read().is_of(&of)), [false, true]);
    assert!(!read().doubt);
    // Another start of the machine, whole; then one octet of it damaged.
    let place = 1536;
    let mut octets = [0; 64];
    spool.file.read_exact_at(&mut octets, place).unwrap();
    octets[0] ^= 1;
    let sum = checksum(&[&octets[..56]]).to_le_bytes();
    octets[56..].copy_from_slice(&sum);
    spool.file.write_all_at(&octets, place).unwrap();
    assert!(read() != owner::Owner::default() && !read().is_of(&token));
    spool.file.write_all_at(&[octets[20] ^ 1], place + 20).unwrap();
    assert_eq!(read(), owner::Owner::default());
}

#[test]
fn its_room_is_taken_when_it_is_made() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new("room");
    let (_spool, ..) = place.open(64);
    let about = std::fs::metadata(&place.0).unwrap();
    assert_eq!(about.len(), size(64));
    assert!(about.blocks() * 512 >= size(64), "{about:?}");
}

#[test]
fn without_a_position_all_slots_are_handed_out_and_it_says_so() {
    let place = Place::new("unplaced");
    let (mut spool, mut reader, _) = place.open(4);
    for at in 1..=6 {
        put(&mut spool, at, &format!("r{at}"));
        take(&mut reader);
        store(&mut reader, 0);
    }
    spool.file.write_all_at(&[7; 700], 512).unwrap();
    drop((spool, reader));
    let (_spool, mut reader, found) = place.open(4);
    assert_eq!((found, reader.next_slot(), reader.left()), (Found::Unplaced, 2, 6));
    let texts: Vec<String> = take(&mut reader).into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["r3", "r4", "r5", "r6"]);
}

proptest! {
    /// Whatever stands in the file, opening and reading it ends, and never panics.
    #[test]
    fn any_octets_can_be_opened(octets in proptest::collection::vec((0_u64..9000, any::<u8>()), 0..40), many in 0_u64..20) {
        let place = Place::new(&format!("any-{many}-{}", octets.len()));
        let (mut spool, reader, _) = place.open(4);
        for at in 0..many {
            put(&mut spool, at, "abc");
        }
        for (at, octet) in octets {
            spool.file.write_all_at(&[octet], at).unwrap();
        }
        drop((spool, reader));
        if let Ok((mut spool, mut reader, _)) = Spool::open(&place.0, 4) {
            let mut left = 10;
            while left > 0 && reader.next().unwrap().is_some() {
                left -= 1;
            }
            prop_assert!(left > 0);
            put(&mut spool, 1, "x");
        }
    }
}
