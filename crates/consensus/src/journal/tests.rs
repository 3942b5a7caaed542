use super::*;
use crate::Members;
use crate::core::{Entry, EntryKind, Vote};
use std::collections::BTreeSet;
use vectron_base::clock::ManualClock;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::ids::ReplicaId;
use vectron_base::random::SeededRandom;

fn open(disk: &SimDisk) -> Journal {
    try_open(disk).unwrap()
}

fn try_open(disk: &SimDisk) -> Result<Journal, OpenError> {
    Journal::open(JournalConfig {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::default()),
        random: Arc::new(SeededRandom::new(disk.operations())),
        metrics: ConsensusMetrics::default(),
        segment_bytes: 2_000,
        limit_bytes: 10_000,
    })
}

fn state(start: u64) -> State {
    let members = Members::of_voters([ReplicaId(1)]);
    State {
        replica: ReplicaId(1),
        vote: Vote { term: 1, vote: 1, commit: start },
        start: (start, 1),
        members,
    }
}

fn entry(group: u64, index: u64) -> Record {
    Record::Entry(GroupId(group), Entry::new(index, 1, EntryKind::Command, vec![group as u8; 600]))
}

fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
    let mut batch = Batch::default();
    records.into_iter().for_each(|record| batch.push(record));
    batch
}

fn indexes(journal: &mut Journal, group: u64) -> Vec<u64> {
    match journal.load(GroupId(group)).unwrap() {
        Known::Log(folded) => {
            let whole = |(index, stored): &(u64, crate::stored::StoredEntry)| stored.load(*index).is_some();
            assert!(folded.entries.iter().all(whole));
            folded.entries.iter().map(|(index, _)| *index).collect()
        }
        Known::Damaged(reason) => panic!("{reason}"),
        _ => Vec::new(),
    }
}

fn files(disk: &SimDisk) -> Vec<String> {
    disk.list(DIR).unwrap()
}

/// Two groups, eight entries each, over several segments.
fn filled(disk: &SimDisk) -> Journal {
    let mut journal = open(disk);
    journal.write(&batch([1, 2].map(|g| Record::State(GroupId(g), state(0))))).unwrap();
    for index in 1..=8 {
        journal.write(&batch([entry(1, index), entry(2, index)])).unwrap();
    }
    journal
}

#[test]
fn what_was_written_is_read_back_and_opening_changes_nothing() {
    let disk = SimDisk::new(1);
    let mut journal = filled(&disk);
    journal.mark().unwrap();
    assert!(journal.segments() > 3);
    let before = disk.files();
    for _ in 0..3 {
        journal = open(&disk);
        assert_eq!(indexes(&mut journal, 1), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
    assert_eq!(disk.files(), before);
    // Given out before, read again from the files; written since, too.
    journal.write(&batch([entry(1, 9)])).unwrap();
    assert_eq!(indexes(&mut journal, 1), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(matches!(journal.load(GroupId(3)).unwrap(), Known::Nothing));
}

#[test]
fn a_later_entry_replaces_all_from_its_index_on() {
    let disk = SimDisk::new(2);
    let mut journal = filled(&disk);
    journal.write(&batch([entry(1, 5)])).unwrap();
    journal.mark().unwrap();
    let mut journal = open(&disk);
    assert_eq!(indexes(&mut journal, 1), [1, 2, 3, 4, 5]);
    assert_eq!(indexes(&mut journal, 2).len(), 8);
}

#[test]
fn segments_go_in_order_when_all_groups_have_checkpointed() {
    let disk = SimDisk::new(3);
    let mut journal = filled(&disk);
    let segments = journal.segments();
    assert_eq!(journal.holders(), [GroupId(1), GroupId(2)]);
    journal.write(&batch([Record::State(GroupId(1), state(8))])).unwrap();
    journal.drop_covered();
    assert_eq!(journal.holders(), [GroupId(2)]);
    assert!(journal.segments() >= segments, "the other group still needs them all");
    journal.write(&batch([Record::State(GroupId(2), state(5))])).unwrap();
    journal.drop_covered();
    assert!(journal.segments() < segments && journal.holders().is_empty());
    journal.mark().unwrap();
    let mut journal = open(&disk);
    assert_eq!(indexes(&mut journal, 1), Vec::<u64>::new());
    assert_eq!(indexes(&mut journal, 2), [6, 7, 8]);
}

#[test]
fn a_tombstone_outlives_its_segment() {
    let disk = SimDisk::new(4);
    let mut journal = filled(&disk);
    journal
        .write(&batch([Record::Tombstone(GroupId(1), ReplicaId(1)), Record::State(GroupId(2), state(8))]))
        .unwrap();
    for index in 9..=20 {
        journal.write(&batch([entry(2, index), Record::State(GroupId(2), state(index))])).unwrap();
        journal.drop_covered();
    }
    assert!(journal.segments() <= 2);
    journal.mark().unwrap();
    let mut journal = open(&disk);
    assert_eq!(journal.tombstone(GroupId(1)), Some(ReplicaId(1)));
    assert!(matches!(journal.load(GroupId(1)).unwrap(), Known::Nothing));
}

/// A log that was replaced, and one of a later replica, stay so through rolls and rewritten tails.
#[test]
fn a_replaced_log_never_comes_back() {
    for seed in 0..40 {
        for (proven, later) in [(false, false), (false, true), (true, false), (true, true)] {
            let disk = SimDisk::new(seed);
            let mut journal = filled(&disk);
            let fresh = if later { State { replica: ReplicaId(2), ..state(6) } } else { state(6) };
            if later {
                journal.write(&batch([Record::Tombstone(GroupId(1), ReplicaId(1))])).unwrap();
                journal.write(&batch([Record::State(GroupId(1), fresh.clone())])).unwrap();
            } else {
                journal.write(&batch([Record::Reset(GroupId(1), fresh.clone())])).unwrap();
            }
            assert_eq!(indexes(&mut journal, 1), Vec::<u64>::new());
            journal.write(&batch([entry(1, 7)])).unwrap();
            if proven {
                journal.mark().unwrap();
            }
            for life in 0..4 {
                drop(journal);
                journal = open(&disk);
                let expected: Vec<u64> = if life > 1 { vec![7, 8] } else { vec![7] };
                assert_eq!(indexes(&mut journal, 1), expected, "seed {seed} {proven} {later}");
                assert_eq!(journal.replica(GroupId(1)), Some(fresh.replica));
                assert_eq!(journal.tombstone(GroupId(1)), later.then_some(ReplicaId(1)));
                if life == 1 {
                    journal.write(&batch([entry(1, 8)])).unwrap();
                }
                // Segments that only the old log held go, and what is left is still whole.
                journal.write(&batch([Record::State(GroupId(2), state(8)), entry(3, life + 1)])).unwrap();
                journal.drop_covered();
            }
            assert!(journal.segments() < 8, "{}", journal.segments());
        }
    }
}

#[test]
fn a_tail_that_may_be_unsynced_is_written_anew() {
    let disk = SimDisk::new(5);
    drop(filled(&disk));
    let before = files(&disk).len();
    let mut journal = open(&disk);
    assert_eq!(files(&disk).len(), before + 1);
    assert_eq!(indexes(&mut journal, 2).len(), 8);
    drop(journal);
    // The rewritten tail is itself the tail of the next opening, until it is noted as synced.
    let mut journal = open(&disk);
    journal.mark().unwrap();
    let settled = files(&disk);
    let mut journal = open(&disk);
    assert_eq!(files(&disk), settled);
    assert_eq!(indexes(&mut journal, 2).len(), 8);
    assert!(journal.damage().is_empty() && journal.dropped().is_none());
}

#[test]
fn a_segment_whose_creation_was_cut_short_is_removed() {
    let mut removed = 0;
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let mut journal = filled(&disk);
        journal.mark().unwrap();
        let kept = files(&disk).len();
        // The roll's sync is the operation at which the power goes.
        let faults = Faults { power_loss_at_operation: Some(disk.operations() + 4), ..Faults::default() };
        journal.config.segment_bytes = 0;
        disk.set_faults(faults);
        assert_eq!(journal.write(&batch([entry(1, 9)])), Err(WriteError::Failed));
        disk.restart();
        let present = files(&disk).len();
        let mut journal = open(&disk);
        assert!(journal.damage().is_empty());
        assert_eq!(indexes(&mut journal, 1).len(), 8);
        removed += usize::from(present > kept && files(&disk).len() == kept);
    }
    assert!(removed > 0);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let disk = SimDisk::new(6);
    filled(&disk).mark().unwrap();
    let path = format!("{DIR}/{}", files(&disk)[0]);
    let mut bytes = disk.read(&path).unwrap();
    bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    disk.create(&path).unwrap().append(&bytes).unwrap();
    let error = try_open(&disk).map(|_| ()).unwrap_err();
    assert_eq!(error, OpenError::Format { file: path, found: 9, known: 2 });
}

#[test]
fn damage_that_a_checkpoint_covers_is_named_and_harms_nobody() {
    let disk = SimDisk::new(7);
    let mut journal = filled(&disk);
    journal.write(&batch([Record::State(GroupId(1), state(8))])).unwrap();
    journal.mark().unwrap();
    let path = format!("{DIR}/{}", files(&disk)[0]);
    let at = disk.read(&path).unwrap().windows(100).position(|w| w == [1; 100]).unwrap();
    disk.flip_bit(&path, at as u64 * 8);
    let mut journal = open(&disk);
    assert!(journal.damage()[0].contains("group 1 (index 1)"), "{:?}", journal.damage());
    assert_eq!(indexes(&mut journal, 1), Vec::<u64>::new());
    assert_eq!(indexes(&mut journal, 2).len(), 8);
}

#[test]
fn bytes_that_pose_as_a_frame_are_not_one() {
    let disk = SimDisk::new(8);
    let mut journal = filled(&disk);
    journal.mark().unwrap();
    let last = format!("{DIR}/{}", files(&disk).pop().unwrap());
    let copied = disk.read(&last).unwrap();
    // A client's command holds the bytes of a whole segment; the batch that it is in is torn.
    let posing = Record::Entry(GroupId(1), Entry::new(9, 1, EntryKind::Command, copied));
    let len = disk.read(&last).unwrap().len() as u64;
    journal.config.segment_bytes = u64::MAX;
    journal.write(&batch([posing])).unwrap();
    disk.flip_bit(&last, (len + 20) * 8);
    let mut journal = open(&disk);
    assert!(journal.damage().is_empty(), "{:?}", journal.damage());
    assert!(journal.dropped().is_some());
    assert_eq!(indexes(&mut journal, 1).len(), 8);
}

/// Many groups in one batch: the batch is there whole or not at all, whatever sectors survive.
#[test]
fn a_batch_is_durable_as_one() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut journal = open(&disk);
        journal.write(&batch((1..=6).map(|g| Record::State(GroupId(g), state(0))))).unwrap();
        journal.mark().unwrap();
        disk.set_faults(Faults { power_loss_at_operation: Some(disk.operations() + 2), ..Faults::default() });
        assert_eq!(journal.write(&batch((1..=6).map(|g| entry(g, 1)))), Err(WriteError::Failed));
        disk.restart();
        let mut journal = open(&disk);
        assert!(journal.damage().is_empty());
        let found: BTreeSet<usize> = (1..=6).map(|g| indexes(&mut journal, g).len()).collect();
        assert_eq!(found.len(), 1, "seed {seed}");
    }
}
