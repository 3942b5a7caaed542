//! One suite for every implementation of the disk seam.

use super::{Disk, DiskFailure, replace_file};

/// Asserts what callers rely on. `disk` must be empty but for a lock file.
#[allow(clippy::unwrap_used)]
pub fn conformance(disk: &dyn Disk) {
    disk.create_dir("a/b").unwrap();
    disk.create_dir("a/b").unwrap();
    assert_eq!(disk.list("nowhere").unwrap(), Vec::<String>::new());
    assert_eq!(disk.sync_dir("nowhere").unwrap_err().failure, DiskFailure::NotFound);
    assert_eq!(disk.read("a/none").unwrap_err().failure, DiskFailure::NotFound);

    let mut file = disk.create("a/b/log").unwrap();
    assert!(file.is_empty());
    file.append(b"hello ").unwrap();
    file.append(b"world").unwrap();
    file.sync().unwrap();
    assert_eq!(file.len(), 11);
    drop(file);
    assert_eq!(disk.read("a/b/log").unwrap(), b"hello world");
    assert_eq!(&disk.map("a/b/log").unwrap()[6..], b"world");

    let mut file = disk.open_at("a/b/log", 5).unwrap();
    assert_eq!(file.len(), 5);
    file.append(b"!").unwrap();
    drop(file);
    assert_eq!(disk.read("a/b/log").unwrap(), b"hello!");

    replace_file(disk, "a/manifest", b"one").unwrap();
    let old = disk.map("a/manifest").unwrap();
    replace_file(disk, "a/manifest", b"two").unwrap();
    assert_eq!((&old[..], &disk.read("a/manifest").unwrap()[..]), (&b"one"[..], &b"two"[..]));
    assert_eq!(disk.list("a").unwrap(), ["b", "manifest"]);

    drop(disk.create("a/empty").unwrap());
    assert!(disk.map("a/empty").unwrap().is_empty());
    assert!(disk.exists("a/empty").unwrap());
    disk.remove("a/empty").unwrap();
    assert!(!disk.exists("a/empty").unwrap());
    assert_eq!(disk.remove("a/empty").unwrap_err().failure, DiskFailure::NotFound);
    assert_eq!(disk.rename("a/empty", "a/x").unwrap_err().failure, DiskFailure::NotFound);

    disk.remove_dir("a").unwrap();
    disk.remove_dir("a").unwrap();
    assert!(!disk.exists("a/b/log").unwrap());
    let space = disk.space().unwrap();
    assert!(space.free <= space.total);
}
