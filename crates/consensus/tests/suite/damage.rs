//! Decay of synced bytes is named, and never served or silently lost.

use crate::world::{World, knobs};
use proptest::prelude::*;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::GroupId;
use vectron_consensus::{GroupError, ProposeError};

/// Three groups over several segments, everything synced and noted as such.
fn written(seed: u64) -> (SimDisk, Vec<Vec<Vec<u8>>>) {
    let mut world = World::new(seed);
    for group in 1..=3 {
        world.open(group).unwrap();
    }
    for number in 0..12u64 {
        for group in 1..=3 {
            let command = format!("{group}-{number}-{}", "y".repeat((number * 37 % 300) as usize));
            world.propose(group, command.as_bytes()).unwrap();
        }
        if number == 5 {
            world.checkpoint(2).unwrap();
        }
    }
    world.settle();
    assert!(world.segments().len() >= 3);
    let logs = (1..=3).map(|group| world.commands(group)).collect();
    (world.disk.clone(), logs)
}

/// Opens everything; a group either has exactly its log or says that it is damaged.
fn examine(disk: &SimDisk, logs: &[Vec<Vec<u8>>]) -> (usize, Vec<String>) {
    let mut world = match World::start(disk, knobs()) {
        Ok(world) => world,
        Err(error) => return (3, vec![error.to_string()]),
    };
    let mut quarantined = 0;
    for (group, log) in (1..).zip(logs) {
        match world.open(group) {
            Ok(()) => {
                world.barrier(group).unwrap();
                assert_eq!(&world.commands(group), log, "group {group} differs and does not say so");
            }
            Err(GroupError::Quarantined(reason)) => {
                quarantined += 1;
                assert!(reason.contains("journal/") && reason.contains("byte"), "{reason}");
                assert!(world.handle.status(GroupId(group)).unwrap().quarantined.is_some());
                let refused = world.propose(group, b"no");
                assert!(matches!(refused, Err(ProposeError::Quarantined(_))), "{refused:?}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    (quarantined, world.handle.journal().damage)
}

#[test]
fn a_damaged_payload_quarantines_its_group_alone() {
    let (disk, logs) = written(1);
    let (file, bytes) = (1..).map(|_| disk.files()[1].clone()).next().unwrap();
    let content = vectron_base::disk::Disk::read(&disk, &file).unwrap();
    let at = content.windows(5).position(|w| w == b"3-3-y" || w == b"3-8-y").unwrap() as u64;
    assert!(at < bytes);
    disk.flip_bit(&file, at * 8 + 3);
    let (quarantined, damage) = examine(&disk, &logs);
    assert_eq!(quarantined, 1);
    assert!(damage[0].contains("group 3") && damage[0].contains(&file), "{damage:?}");
}

#[test]
fn a_lost_segment_is_noticed() {
    let (disk, logs) = written(2);
    let file = disk.files()[1].0.clone();
    vectron_base::disk::Disk::remove(&disk, &file).unwrap();
    let mut world = World::start(&disk, knobs()).unwrap();
    let opened = (1..=3).filter(|group| world.open(*group).is_ok()).count();
    assert_eq!((opened, logs.len()), (0, 3));
    assert!(world.handle.journal().damage[0].contains("missing"));
}

#[test]
fn a_shortened_segment_is_noticed() {
    let (disk, logs) = written(3);
    let (file, bytes) = disk.files()[1].clone();
    drop(vectron_base::disk::Disk::open_at(&disk, &file, bytes / 2).unwrap());
    let (quarantined, damage) = examine(&disk, &logs);
    assert_eq!(quarantined, 3);
    assert!(!damage.is_empty());
}

#[test]
fn an_unknown_group_does_not_start_over_on_a_damaged_journal() {
    let (disk, _) = written(4);
    let file = disk.files()[0].0.clone();
    disk.flip_bit(&file, 16 * 8 + 5);
    let mut world = World::start(&disk, knobs()).unwrap();
    assert!(matches!(world.open(77), Err(GroupError::Quarantined(_))));
    for group in 1..=3 {
        assert!(matches!(world.open(group), Err(GroupError::Quarantined(_))));
        world.remove(group).unwrap();
    }
}

#[test]
fn garbage_after_the_end_is_no_damage() {
    let (disk, logs) = written(5);
    let (file, bytes) = disk.files().into_iter().rfind(|(name, _)| name.starts_with("journal/")).unwrap();
    let mut open = vectron_base::disk::Disk::open_at(&disk, &file, bytes).unwrap();
    open.append(&[0xab; 700]).unwrap();
    drop(open);
    assert_eq!(examine(&disk, &logs), (0, Vec::new()));
}

#[test]
fn every_byte_of_a_small_journal_is_guarded() {
    let build = || {
        let mut world = World::new(6);
        for group in 1..=3 {
            world.open(group).unwrap();
            world.propose(group, format!("only-{group}").as_bytes()).unwrap();
        }
        world.settle();
        (world.disk.clone(), world.segments())
    };
    let logs: Vec<_> = (1..=3).map(|group| vec![format!("only-{group}").into_bytes()]).collect();
    let (_, segments) = build();
    let mut caught = 0;
    let mut tried = 0;
    for (file, bytes) in segments {
        for byte in 0..bytes {
            let (disk, _) = build();
            disk.flip_bit(&file, byte * 8 + byte % 8);
            let (quarantined, damage) = examine(&disk, &logs);
            assert!(quarantined == 0 || !damage.is_empty());
            caught += u64::from(!damage.is_empty());
            tried += 1;
        }
    }
    // What is not reported carries nothing: padding, and the last note of how far the file is synced.
    assert!(caught * 10 > tried * 8, "{caught} of {tried}");
}

fn flip_some(seed: u64, flips: &[(usize, u64)]) -> (SimDisk, Vec<Vec<Vec<u8>>>) {
    let (disk, logs) = written(seed);
    let files: Vec<_> = disk.files().into_iter().filter(|(name, _)| name.starts_with("journal/")).collect();
    for (file, bit) in flips {
        let (name, bytes) = &files[file % files.len()];
        disk.flip_bit(name, bit % (bytes * 8));
    }
    (disk, logs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_flip_is_never_silent(seed in 0u64..4, file in 0usize..64, bit: u64) {
        let (disk, logs) = flip_some(seed, &[(file, bit)]);
        examine(&disk, &logs);
    }

    /// Two flips that hit both the last batch and the note that it was synced look like an unsynced end;
    /// then the journal names what it cut off.
    #[test]
    fn random_flips_are_never_silent(
        seed in 0u64..4,
        flips in proptest::collection::vec((0usize..64, any::<u64>()), 2..5),
    ) {
        let (disk, logs) = flip_some(seed, &flips);
        let world = World::start(&disk, knobs()).unwrap();
        if world.handle.journal().dropped.is_none() {
            drop(world);
            examine(&disk, &logs);
        }
    }
}
