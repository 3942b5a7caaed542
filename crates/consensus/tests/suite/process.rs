//! The production loop, on a thread of its own over real files.

use std::sync::Arc;
use vectron_base::clock::SystemClock;
use vectron_base::disk::RealDisk;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::SystemRandom;
use vectron_consensus::*;

struct Counter(u64);

impl Machine for Counter {
    fn durable_index(&self) -> u64 {
        0
    }
    fn apply(&mut self, _: u64, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        self.0.to_le_bytes().to_vec()
    }
    fn skip(&mut self, _: u64) {}
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a thread is what is tested")]
fn a_driver_runs_on_a_thread_and_stops() {
    let root = std::env::temp_dir().join(format!("vectron-consensus-{}", std::process::id()));
    for life in 0..2u64 {
        let disk = Arc::new(RealDisk::open(&root).unwrap());
        let clock = Arc::new(SystemClock::new());
        let (driver, handle) =
            Driver::open(disk, clock, Arc::new(SystemRandom), ConsensusKnobs::default(), Default::default())
                .unwrap();
        let thread = std::thread::spawn(move || driver.run());
        futures::executor::block_on(async {
            for group in 1..=3 {
                let config = GroupConfig {
                    group: GroupId(group),
                    replica: ReplicaId(group),
                    voters: vec![ReplicaId(group)],
                    start: None,
                };
                handle.open_group(config, Box::new(Counter(0))).await.unwrap();
            }
            let proposals = (0..300).map(|n| handle.propose(GroupId(n % 3 + 1), vec![1; 2_000]));
            let answers = futures::future::join_all(proposals).await;
            let highest = answers.iter().map(|a| a.as_ref().unwrap().reply.clone()).max().unwrap();
            assert_eq!(u64::from_le_bytes(highest.try_into().unwrap()), 100 * (life + 1));
            handle.barrier(GroupId(2)).await.unwrap();
        });
        handle.stop();
        thread.join().unwrap();
    }
    std::fs::remove_dir_all(&root).unwrap();
}

/// Journals that older builds left behind open without a complaint.
#[test]
#[allow(clippy::disallowed_methods, reason = "files of older builds are copied")]
fn journals_of_every_format_open() {
    let formats = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/format");
    let mut opened = 0;
    for format in std::fs::read_dir(formats).unwrap().map(|entry| entry.unwrap()) {
        let root = std::env::temp_dir().join(format!(
            "vectron-consensus-format-{}-{}",
            format.file_name().to_string_lossy(),
            std::process::id()
        ));
        std::fs::create_dir_all(root.join("journal")).unwrap();
        for file in std::fs::read_dir(format.path().join("journal")).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(file.path(), root.join("journal").join(file.file_name())).unwrap();
        }
        // The second opening reads what the first one wrote anew.
        for _ in 0..2 {
            let disk = Arc::new(RealDisk::open(&root).unwrap());
            let clock = Arc::new(SystemClock::new());
            let (_driver, handle) =
                Driver::open(disk, clock, Arc::new(SystemRandom), Default::default(), Default::default())
                    .unwrap();
            let journal = handle.journal();
            assert!(journal.bytes > 0 && journal.quarantined.is_empty(), "{journal:?}");
            assert_eq!(journal.damage, Vec::<String>::new());
        }
        std::fs::remove_dir_all(&root).unwrap();
        opened += 1;
    }
    assert!(opened >= 2);
}
