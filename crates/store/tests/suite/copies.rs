//! Checkpoints given to other replicas: whole or not at all, and never believed unchecked.

use crate::support::*;
use std::sync::Arc;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::disk::{Disk, RealDisk};
use vectron_store::{
    EXPORTS_MAX, Export, ExportError, ExportedFile, Import, ImportError, Metric, OpenError, SearchQuery,
    Shard,
};

/// A shard with several segments, a graph of several files, remembered writes, and dead records.
fn source(disk: &SimDisk) -> Shard {
    let shard = open(disk, &config(4, Metric::Dot));
    for round in 0..4u64 {
        let points = (0..20u64 >> round).map(|i| {
            let payload = format!(r#"{{"round":{round},"even":{}}}"#, i % 2 == 0);
            point(&format!("p{}", round * 15 + i), &vector(round * 20 + i, 4), &payload)
        });
        apply(&shard, &keyed(upsert(points.collect()), 1, &format!("k{round}"), round));
        index_all(&shard);
        shard.checkpoint().unwrap();
    }
    apply(&shard, &delete(&["p3", "p4"]));
    shard.checkpoint().unwrap();
    shard
}

/// Fetches in small parts until all is there; `tamper` may change a part on its way. Files whose bytes do not match
/// are fetched again.
fn fetch(
    export: &Export,
    disk: &SimDisk,
    tamper: &mut dyn FnMut(&str, u64, &mut Vec<u8>),
) -> Result<u64, ImportError> {
    let mut import = Import::begin(Arc::new(disk.clone()), DIR, export.files())?;
    while let Some((file, have)) = import.next() {
        let name = file.name.clone();
        let mut part = export.read(&name, have, 700).unwrap();
        tamper(&name, have, &mut part);
        import.put(&name, have, &part)?;
    }
    import.finish()
}

fn untouched(_: &str, _: u64, _: &mut Vec<u8>) {}

fn hits(shard: &Shard) -> Vec<Vec<String>> {
    (0..20).map(|seed| search_ids(shard, &SearchQuery::new(vector(seed, 4), 5))).collect()
}

#[test]
fn l24_a_copied_replica_has_the_digest_of_its_source_and_serves_without_indexing() {
    let (disk, target) = (SimDisk::new(1), SimDisk::new(2));
    let shard = source(&disk);
    let export = shard.export().unwrap();
    assert!(export.files().iter().filter(|file| file.name.starts_with("segment-")).count() >= 2);
    assert!(export.files().iter().any(|file| file.name.starts_with("graph-")));
    // The source goes on; the copy is of the moment of the checkpoint.
    let (digest, found) = (shard.digest(), hits(&shard));
    apply(&shard, &upsert(vec![point("later", &vector(9, 4), "{}")]));
    assert_eq!(fetch(&export, &target, &mut untouched).unwrap(), digest.applied_index);
    let copy = open(&target, &config(4, Metric::Dot));
    assert_eq!((copy.digest(), copy.durable_index()), (digest.clone(), digest.applied_index));
    assert_eq!((copy.pending(), copy.damage()), (0, vec![]));
    assert_eq!(hits(&copy), found);
    // A remembered write is remembered there too, and what comes after is the same.
    let retry = keyed(upsert(vec![point("p15", &vector(20, 4), "{}")]), 1, "k1", 1);
    let index = shard.applied_index();
    copy.apply(index, &upsert(vec![point("later", &vector(9, 4), "{}")]).encode());
    assert_eq!(copy.apply(index + 1, &retry.encode()), shard.apply(index + 1, &retry.encode()));
    assert_eq!(copy.digest(), shard.digest());
    // And it can be a source itself.
    copy.checkpoint().unwrap();
    let third = SimDisk::new(3);
    fetch(&copy.export().unwrap(), &third, &mut untouched).unwrap();
    assert_eq!(open(&third, &config(4, Metric::Dot)).digest(), shard.digest());
}

#[test]
fn l31_a_deleted_point_does_not_come_back_with_a_copy() {
    let (disk, target) = (SimDisk::new(1), SimDisk::new(2));
    let shard = source(&disk);
    fetch(&shard.export().unwrap(), &target, &mut untouched).unwrap();
    let copy = open(&target, &config(4, Metric::Dot));
    // Their records are in the files still; nothing leads to them.
    assert!(copy.get(&["p3", "p4"], ALL).unwrap().value.iter().all(Option::is_none));
    index_all(&copy);
    copy.checkpoint().unwrap();
    assert_eq!(open(&target, &config(4, Metric::Dot)).digest().value, shard.digest().value);
}

#[test]
fn an_export_lasts_while_checkpoints_go_on_and_there_are_not_too_many() {
    let disk = SimDisk::new(1);
    let shard = source(&disk);
    let digest = shard.digest();
    let export = shard.export().unwrap();
    let names: Vec<&str> = export.files().iter().map(|file| file.name.as_str()).collect();
    for round in 0..6 {
        let points = (0..40).map(|i| point(&format!("p{i}"), &vector(i + 100 * round, 4), "{}"));
        apply(&shard, &upsert(points.collect()));
        index_all(&shard);
        shard.checkpoint().unwrap();
    }
    // The files are gone from the directory, and the export has them.
    let left = disk.list(DIR).unwrap();
    assert!(names.iter().filter(|name| left.iter().any(|known| known == *name)).count() <= 1, "{left:?}");
    let target = SimDisk::new(2);
    fetch(&export, &target, &mut untouched).unwrap();
    assert_eq!(open(&target, &config(4, Metric::Dot)).digest(), digest);

    let more: Vec<Export> = (1..EXPORTS_MAX).map(|_| shard.export().unwrap()).collect();
    assert!(matches!(shard.export(), Err(ExportError::Busy)));
    drop(more);
    assert!(shard.export().is_ok());
    assert!(matches!(export.read("LOCK", 0, 9), Err(ExportError::UnknownFile(_))));
    assert!(export.read("manifest", u64::MAX, usize::MAX).unwrap().is_empty());
    let empty = open(&SimDisk::new(1), &config(4, Metric::Dot));
    assert!(matches!(empty.export(), Err(ExportError::NoCheckpoint)));
}

#[test]
fn power_loss_at_every_operation_leaves_nothing_or_all() {
    let shard = source(&SimDisk::new(1));
    let export = shard.export().unwrap();
    let undisturbed = SimDisk::new(0);
    fetch(&export, &undisturbed, &mut untouched).unwrap();
    let operations = undisturbed.operations();
    assert!(operations > 30, "{operations}");
    let (mut nothing, mut unfinished, mut all) = (0, 0, 0);
    for seed in 0..6 {
        for at in 1..=operations {
            let disk = SimDisk::new(seed * 1000 + at);
            disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
            let finished = fetch(&export, &disk, &mut untouched).is_ok();
            assert!(!finished || at == operations);
            disk.lose_power();
            disk.restart();
            match Shard::open(Arc::new(disk.clone()), DIR, config(4, Metric::Dot)) {
                Err(OpenError::Unfinished(_)) => unfinished += 1,
                Ok(shard) if shard.applied_index() == 0 => nothing += 1,
                Ok(copy) => {
                    assert_eq!(copy.digest(), shard.digest());
                    all += 1;
                    continue;
                }
                Err(other) => panic!("operation {at}: {other}"),
            }
            // It goes on: what did not survive, or not whole, is fetched again.
            let mut tries = 0;
            while let Err(error) = fetch(&export, &disk, &mut untouched) {
                assert!(matches!(error, ImportError::Mismatch(_)), "{error}");
                tries += 1;
                assert!(tries < 9);
            }
            let copy = open(&disk, &config(4, Metric::Dot));
            assert_eq!((copy.digest(), copy.damage()), (shard.digest(), vec![]), "operation {at}");
            drop(copy);
            assert!(disk.list(DIR).unwrap().iter().all(|name| !name.starts_with("import")));
        }
    }
    assert!(nothing > 0 && unfinished > 50 && all > 5, "{nothing} {unfinished} {all}");
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed_before_the_copy_is_a_shard() {
    let shard = source(&SimDisk::new(1));
    let export = shard.export().unwrap();
    for file in export.files() {
        for byte in (0..file.bytes).step_by(13) {
            let disk = SimDisk::new(7);
            let mut flip = |name: &str, offset: u64, part: &mut Vec<u8>| {
                if name == file.name && (offset..offset + part.len() as u64).contains(&byte) {
                    part[(byte - offset) as usize] ^= 1 << (byte % 8);
                }
            };
            let fetched = fetch(&export, &disk, &mut flip);
            assert_eq!(fetched, Err(ImportError::Mismatch(file.name.clone())));
            let opened = Shard::open(Arc::new(disk.clone()), DIR, config(4, Metric::Dot));
            assert!(matches!(opened, Err(OpenError::Unfinished(_))), "{} byte {byte}", file.name);
            if byte % 5 == 0 {
                // The damaged file comes again, the others stay.
                fetch(&export, &disk, &mut untouched).unwrap();
                assert_eq!(open(&disk, &config(4, Metric::Dot)).digest(), shard.digest());
            }
        }
    }
}

#[test]
fn a_file_that_decays_after_it_came_is_noticed_when_the_copy_goes_on() {
    let shard = source(&SimDisk::new(1));
    let export = shard.export().unwrap();
    for file in export.files() {
        let disk = SimDisk::new(7);
        let mut import = Import::begin(Arc::new(disk.clone()), DIR, export.files()).unwrap();
        while let Some((file, have)) = import.next() {
            let name = file.name.clone();
            import.put(&name, have, &export.read(&name, have, 5000).unwrap()).unwrap();
        }
        drop(import);
        let stored = if file.name == "manifest" { "import-manifest" } else { &file.name };
        assert!(disk.flip_bit(&format!("{DIR}/{stored}"), 99));
        let again = Import::begin(Arc::new(disk.clone()), DIR, export.files()).unwrap();
        assert_eq!(again.next(), Some((file, 0)));
        fetch(&export, &disk, &mut untouched).unwrap();
        assert_eq!(open(&disk, &config(4, Metric::Dot)).digest(), shard.digest());
    }
}

#[test]
fn a_damaged_source_is_no_source() {
    let disk = SimDisk::new(1);
    let shard = source(&disk);
    let (segment, len) = disk.files().into_iter().find(|(name, _)| name.contains("segment-")).unwrap();
    let (mut refused, mut dead) = (0, 0);
    for byte in 0..len {
        disk.flip_bit(&segment, byte * 8 + byte % 8);
        match shard.export() {
            Err(ExportError::Damaged(damage)) => {
                assert_eq!(damage.file, segment);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
            // In a record that is dead: the copy has it, and does not read it.
            Ok(export) => {
                dead += 1;
                if dead % 20 == 1 {
                    let target = SimDisk::new(2);
                    fetch(&export, &target, &mut untouched).unwrap();
                    assert_eq!(open(&target, &config(4, Metric::Dot)).digest(), shard.digest());
                }
            }
        }
        disk.flip_bit(&segment, byte * 8 + byte % 8);
    }
    assert!(refused > 200 && dead > 50, "{refused} {dead}");
    assert!(shard.damage().iter().all(|damage| damage.contains(&segment)));
    disk.remove(&segment).unwrap();
    assert!(matches!(shard.export(), Err(ExportError::Damaged(damage)) if damage.detail == "is missing"));
}

#[test]
fn what_the_other_side_says_is_not_believed() {
    let shard = source(&SimDisk::new(1));
    let export = shard.export().unwrap();
    let disk = SimDisk::new(3);
    let begin = |files: &[ExportedFile]| Import::begin(Arc::new(disk.clone()), DIR, files).map(drop);
    let with = |change: &dyn Fn(&mut Vec<ExportedFile>)| {
        let mut files = export.files().to_vec();
        change(&mut files);
        begin(&files)
    };
    let bad_names = [
        "",
        ".",
        "..",
        "../segment-0000000000000001",
        "/etc/passwd",
        "segment-1",
        "segment-000000000000000G",
        "segment-0000000000000001/x",
        "graph-000000000000000A",
        "import",
        "import-manifest",
        "manifest.tmp",
        "meta",
        "segment-0000000000000001\0",
    ];
    for name in bad_names {
        let refused = with(&|files| files[0].name = name.into());
        assert!(matches!(refused, Err(ImportError::List(_))), "{name:?}: {refused:?}");
    }
    assert!(matches!(with(&|files| files[0].bytes = 0), Err(ImportError::List(_))));
    assert!(matches!(with(&|files| files.push(files[0].clone())), Err(ImportError::List(_))));
    assert!(matches!(with(&|files| drop(files.pop())), Err(ImportError::List(_))));
    assert!(matches!(with(&|files| files.last_mut().unwrap().bytes = 1 << 40), Err(ImportError::List(_))));
    assert!(matches!(with(&|files| files[0].bytes = u64::MAX), Err(ImportError::NoRoom { .. })));
    assert!(matches!(begin(&vec![export.files()[0].clone(); 70_000]), Err(ImportError::List(_))));

    let mut import = Import::begin(Arc::new(disk.clone()), DIR, export.files()).unwrap();
    let (file, have) = import.next().map(|(file, have)| (file.clone(), have)).unwrap();
    assert_eq!(have, 0);
    assert!(matches!(import.put("segment-00000000000000ff", 0, &[1]), Err(ImportError::UnknownFile(_))));
    assert!(matches!(import.put(&file.name, 9, &[1]), Err(ImportError::Gap { have: 0, .. })));
    assert!(matches!(import.put(&file.name, file.bytes, &[1]), Err(ImportError::TooLong { .. })));
    assert!(matches!(import.put(&file.name, u64::MAX, &[1]), Err(ImportError::TooLong { .. })));
    assert!(matches!(import.finish(), Err(ImportError::Incomplete(_))));
    // Parts that come twice, or overlap what is there, do no harm.
    let all = export.read(&file.name, 0, usize::MAX).unwrap();
    assert_eq!(import.put(&file.name, 0, &all[..10]), Ok(10));
    assert_eq!(import.put(&file.name, 0, &all[..10]), Ok(10));
    assert_eq!(import.put(&file.name, 5, &all[5..20]), Ok(20));
    assert_eq!(import.put(&file.name, 0, &all), Ok(file.bytes));
    assert_eq!(import.put(&file.name, 0, &all), Ok(file.bytes));
    assert_ne!(import.next().unwrap().0, &file);
    drop(import);

    // A list whose manifest names other files than it.
    let mut files = export.files().to_vec();
    let at = files.iter().position(|other| other.name == file.name).unwrap();
    files[at].name = "segment-00000000000000ff".into();
    let mut import = Import::begin(Arc::new(disk.clone()), DIR, &files).unwrap();
    while let Some((wanted, have)) = import.next().map(|(wanted, have)| (wanted.clone(), have)) {
        let from = if wanted.name == "segment-00000000000000ff" { &file.name } else { &wanted.name };
        import.put(&wanted.name, have, &export.read(from, have, 5000).unwrap()).unwrap();
    }
    assert!(matches!(import.finish(), Err(ImportError::List(_))));
    let opened = Shard::open(Arc::new(disk.clone()), DIR, config(4, Metric::Dot));
    assert!(matches!(opened, Err(OpenError::Unfinished(_))));
}

#[test]
fn a_shard_is_not_overwritten_and_a_newer_offer_takes_over() {
    let source_disk = SimDisk::new(1);
    let shard = source(&source_disk);
    let export = shard.export().unwrap();
    let disk = SimDisk::new(3);
    let held = source(&disk);
    apply(&held, &delete(&["p1"]));
    held.checkpoint().unwrap();
    let refused = Import::begin(Arc::new(disk.clone()), DIR, export.files());
    assert!(matches!(refused, Err(ImportError::Occupied(_))));
    disk.remove(&format!("{DIR}/manifest")).unwrap();
    let refused = Import::begin(Arc::new(disk.clone()), DIR, export.files());
    assert!(matches!(refused, Err(ImportError::Occupied(_))), "files that are not of a copy");
    disk.remove_dir(DIR).unwrap();

    // Half of one copy is there when the source offers a later one.
    let mut import = Import::begin(Arc::new(disk.clone()), DIR, export.files()).unwrap();
    for _ in 0..6 {
        let (name, have) = import.next().map(|(file, have)| (file.name.clone(), have)).unwrap();
        import.put(&name, have, &export.read(&name, have, 300).unwrap()).unwrap();
    }
    drop((import, export));
    apply(&shard, &upsert(vec![point("new", &vector(5, 4), "{}")]));
    index_all(&shard);
    shard.checkpoint().unwrap();
    let export = shard.export().unwrap();
    let mut parts = 0;
    fetch(&export, &disk, &mut |_, _, part| parts += part.len() as u64).unwrap();
    assert!(parts <= export.bytes());
    assert_eq!(open(&disk, &config(4, Metric::Dot)).digest(), shard.digest());
    // It was finished: once more is fine, and fetches nothing.
    let mut parts = 0;
    assert_eq!(fetch(&export, &disk, &mut |_, _, _| parts += 1), Ok(shard.applied_index()));
    assert_eq!(parts, 0);
}

#[test]
fn a_full_disk_stops_a_copy_and_space_lets_it_go_on() {
    let shard = source(&SimDisk::new(1));
    let export = shard.export().unwrap();
    let disk = SimDisk::new(3);
    disk.set_capacity(Some(export.bytes() / 2));
    assert!(matches!(fetch(&export, &disk, &mut untouched), Err(ImportError::NoRoom { .. })));
    disk.set_capacity(None);
    let mut import = Import::begin(Arc::new(disk.clone()), DIR, export.files()).unwrap();
    let mut free = 0;
    while let Some((file, have)) = import.next() {
        let name = file.name.clone();
        let used: u64 = disk.files().iter().map(|(_, len)| len).sum();
        disk.set_capacity(Some(used + free % 900));
        free += 250;
        match import.put(&name, have, &export.read(&name, have, 700).unwrap()) {
            Ok(_) | Err(ImportError::Disk(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    disk.set_capacity(None);
    import.finish().unwrap();
    assert_eq!(open(&disk, &config(4, Metric::Dot)).digest(), shard.digest());
}

#[test]
fn a_copy_comes_back_from_a_real_disk() {
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(root.path()).unwrap());
    let shape = config(4, Metric::Dot);
    let shard = Shard::open(disk.clone(), "a", shape.clone()).unwrap();
    for round in 0..3u64 {
        let points = (0..40).map(|i| point(&format!("p{i}"), &vector(i + round, 4), "{}"));
        apply(&shard, &upsert(points.collect()));
        index_all(&shard);
        shard.checkpoint().unwrap();
    }
    let export = shard.export().unwrap();
    let digest = shard.digest();
    for i in 0..40 {
        apply(&shard, &delete(&[&format!("p{i}")]));
    }
    shard.checkpoint().unwrap();
    let mut import = Import::begin(disk.clone(), "b", export.files()).unwrap();
    while let Some((file, have)) = import.next() {
        let name = file.name.clone();
        import.put(&name, have, &export.read(&name, have, 1000).unwrap()).unwrap();
        if have == 0 {
            drop(import);
            import = Import::begin(disk.clone(), "b", export.files()).unwrap();
        }
    }
    import.finish().unwrap();
    let copy = Shard::open(disk, "b", shape).unwrap();
    assert_eq!((copy.digest(), copy.pending()), (digest, 0));
}
