//! A full disk refuses, keeps what it has, and recovers without a restart.

use crate::world::{Task, World, knobs};
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::GroupId;
use vectron_consensus::{ConsensusKnobs, ProposeError};

fn used(disk: &SimDisk) -> u64 {
    disk.files().iter().map(|(_, bytes)| bytes).sum()
}

#[test]
fn proposals_are_refused_before_the_disk_is_full_and_accepted_when_it_is_not() {
    let disk = SimDisk::new(1);
    let knobs = ConsensusKnobs { disk_reserve_bytes: 8_000, ..knobs() };
    let mut world = World::start(&disk, knobs).unwrap();
    world.open(1).unwrap();
    disk.set_capacity(Some(used(&disk) + 12_000));
    let mut accepted = Vec::new();
    let refused = loop {
        let command = format!("{}{}", accepted.len(), "z".repeat(400)).into_bytes();
        match world.propose(1, &command) {
            Ok(_) => accepted.push(command),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, ProposeError::DiskFull);
    assert_eq!(world.barrier(1).unwrap(), accepted.len() as u64 + 1, "reads go on");

    let handle = world.handle.clone();
    let freeing = world.wait(async move { handle.propose_reserved(GroupId(1), b"delete".to_vec()).await });
    assert!(freeing.is_ok(), "{freeing:?}");
    accepted.push(b"delete".to_vec());
    let handle = world.handle.clone();
    world.wait(async move { handle.remove_group(GroupId(9)).await }).unwrap();

    disk.set_capacity(None);
    world.propose(1, b"freed").unwrap();
    accepted.push(b"freed".to_vec());
    let mut world = world.power_cycle();
    world.open(1).unwrap();
    world.barrier(1).unwrap();
    assert_eq!(world.commands(1), accepted);
}

/// A disk that claims space which it does not have.
struct Boaster(SimDisk);

impl Disk for Boaster {
    fn space(&self) -> vectron_base::disk::DiskResult<vectron_base::disk::Space> {
        Ok(vectron_base::disk::Space { free: u64::MAX, total: u64::MAX })
    }
    fn create_dir(&self, path: &str) -> vectron_base::disk::DiskResult<()> {
        self.0.create_dir(path)
    }
    fn list(&self, path: &str) -> vectron_base::disk::DiskResult<Vec<String>> {
        self.0.list(path)
    }
    fn create(&self, path: &str) -> vectron_base::disk::DiskResult<Box<dyn vectron_base::disk::DiskFile>> {
        self.0.create(path)
    }
    fn open_at(
        &self,
        path: &str,
        len: u64,
    ) -> vectron_base::disk::DiskResult<Box<dyn vectron_base::disk::DiskFile>> {
        self.0.open_at(path, len)
    }
    fn read(&self, path: &str) -> vectron_base::disk::DiskResult<Vec<u8>> {
        self.0.read(path)
    }
    fn map(
        &self,
        path: &str,
    ) -> vectron_base::disk::DiskResult<std::sync::Arc<dyn vectron_base::disk::FileBytes>> {
        self.0.map(path)
    }
    fn exists(&self, path: &str) -> vectron_base::disk::DiskResult<bool> {
        self.0.exists(path)
    }
    fn rename(&self, from: &str, to: &str) -> vectron_base::disk::DiskResult<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &str) -> vectron_base::disk::DiskResult<()> {
        self.0.remove(path)
    }
    fn remove_dir(&self, path: &str) -> vectron_base::disk::DiskResult<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &str) -> vectron_base::disk::DiskResult<()> {
        self.0.sync_dir(path)
    }
}

#[test]
fn a_batch_that_does_not_fit_waits_and_is_written_when_it_does() {
    for spare in [0, 3, 40, 200, 900, 2_500] {
        let disk = SimDisk::new(spare + 7);
        let mut world = World::new(1);
        let clock = world.clock.clone();
        let random = std::sync::Arc::new(vectron_base::random::SeededRandom::new(1));
        let boaster = std::sync::Arc::new(Boaster(disk.clone()));
        let (driver, handle) =
            vectron_consensus::Driver::open(boaster, clock, random, knobs(), Default::default()).unwrap();
        (world.driver, world.handle, world.disk) = (driver, handle, disk.clone());
        world.open(1).unwrap();
        world.open(2).unwrap();
        world.propose(1, &[b'a'; 3_000]).unwrap();
        world.settle();

        disk.set_capacity(Some(used(&disk) + spare));
        let mut pending: Vec<Task<_>> =
            vec![world.propose_task(1, &[b'b'; 2_600]), world.propose_task(2, b"other group")];
        let mut done = vec![None, None];
        for _ in 0..20 {
            crate::world::poll(&mut pending, &mut done);
            world.clock.advance(std::time::Duration::from_millis(100));
            world.driver.turn();
        }
        assert!(done.iter().all(Option::is_none), "{spare}: neither applied nor refused");
        assert!(world.handle.journal().full);
        assert_eq!(world.propose(1, b"late"), Err(ProposeError::DiskFull));
        assert!(world.barrier(1).is_ok(), "reads go on");

        disk.set_capacity(None);
        for answer in world.wait_all(&mut pending) {
            answer.unwrap();
        }
        assert!(!world.handle.journal().full);
        world.propose(2, b"more").unwrap();
        let mut world = world.power_cycle();
        assert_eq!(world.handle.journal().damage, Vec::<String>::new());
        for group in [1, 2] {
            world.open(group).unwrap();
            world.barrier(group).unwrap();
        }
        assert_eq!(world.commands(1), [vec![b'a'; 3_000], vec![b'b'; 2_600]]);
        assert_eq!(world.commands(2), [b"other group".to_vec(), b"more".to_vec()]);
    }
}
