//! `vectron doctor`: is this machine fit to run a node, and is a data directory sound?

use super::config;
use super::exit::{Exit, Outcome};
use super::output::{Cell, Grid, Output, human_bytes};
use crate::settings::Settings;
use clap::Args;
use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::random::{Random, SystemRandom};

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  vectron doctor --data-dir /var/lib/vectron --listen 0.0.0.0:8080

Exit code 8 if a check fails; warnings pass.")]
pub struct DoctorArgs {
    /// Data directory to check.
    #[arg(long, env = "VECTRON_DATA_DIR", default_value = "./vectron-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address that a node would serve on.
    #[arg(long, env = "VECTRON_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub listen: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Clone, Debug, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

fn check(check: &'static str, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check { check, verdict, detail: detail.into() }
}

/// Upserts are refused from here on.
const DISK_FULL_PERCENT: u64 = 90;
/// 2024-01-01. A clock before it was never set.
const EARLIEST_MS: u64 = 1_704_067_200_000;
const DAY_MS: u64 = 86_400_000;

/// Runs every check.
pub fn run(args: &DoctorArgs, out: Output) -> Outcome<Exit> {
    let clock = SystemClock::new();
    let checks = [
        vec![settings(), port(&args.listen)],
        directory(&args.data_dir, &clock),
        vec![
            space(&args.data_dir),
            write_speed(&args.data_dir, &clock),
            wall_clock(&clock),
            memory(),
            open_files(),
        ],
    ]
    .concat();
    let mut grid = Grid::new(["check", "verdict", "detail"]);
    for c in &checks {
        let verdict = match c.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        grid.row(vec![Cell::text(c.check), Cell::text(verdict), Cell::text(&c.detail)]);
    }
    let passed = checks.iter().all(|c| c.verdict != Verdict::Fail);
    out.answer(&grid, &serde_json::json!({ "passed": passed, "checks": checks }), &checks)?;
    Ok(if passed { Exit::Ok } else { Exit::CheckFailed })
}

fn settings() -> Check {
    match Settings::from_env() {
        Ok(_) => check("settings", Verdict::Ok, format!("{} knobs", Settings::table().len())),
        Err(errors) => check("settings", Verdict::Fail, config::wrong(&errors).message),
    }
}

fn port(listen: &str) -> Check {
    const NAME: &str = "port";
    let address = match listen.to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(address)) => address,
        Ok(None) => return check(NAME, Verdict::Fail, format!("{listen} is no address; give HOST:PORT")),
        Err(error) => return check(NAME, Verdict::Fail, format!("{listen}: {error}")),
    };
    match TcpListener::bind(address) {
        Ok(_) if address.ip().is_loopback() => check(NAME, Verdict::Ok, format!("{address} is free")),
        Ok(_) => {
            check(NAME, Verdict::Warn, format!("{address} is free; off loopback `up` needs an admin key"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match readiness(address) {
            Some(status) if status.starts_with("200") => {
                check(NAME, Verdict::Ok, format!("{address}: a node serves there and is ready"))
            }
            Some(status) => {
                check(NAME, Verdict::Warn, format!("{address}: something answers /readyz: {status}"))
            }
            None => check(NAME, Verdict::Fail, format!("{address} is taken by another program")),
        },
        Err(error) => check(NAME, Verdict::Fail, format!("{address}: {error}")),
    }
}

/// The status line that `/readyz` answers, without the protocol; `None` when nothing speaks HTTP there.
fn readiness(address: SocketAddr) -> Option<String> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream
        .write_all(format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    Some(text.lines().next()?.strip_prefix("HTTP/1.1 ")?.to_string())
}

/// What a data directory holds: lock, identity, and whether every file can be read.
fn directory(path: &Path, clock: &SystemClock) -> Vec<Check> {
    const NAME: &str = "data directory";
    if !path.exists() {
        return vec![check(NAME, Verdict::Ok, format!("{} will be created", path.display()))];
    }
    if !path.is_dir() {
        return vec![check(NAME, Verdict::Fail, format!("{} is not a directory", path.display()))];
    }
    vec![lock(path), identity(path), files(path, clock)]
}

fn lock(path: &Path) -> Check {
    const NAME: &str = "lock";
    let file = match OpenOptions::new().read(true).open(path.join("LOCK")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return check(NAME, Verdict::Ok, "never used by a node");
        }
        Err(error) => return check(NAME, Verdict::Fail, format!("LOCK cannot be opened: {error}")),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => check(NAME, Verdict::Ok, "free"),
        Err(_) => check(NAME, Verdict::Ok, "held by a running node"),
    }
}

#[allow(clippy::disallowed_methods, reason = "only looks, beside a node that may be running")]
fn identity(path: &Path) -> Check {
    const NAME: &str = "identity";
    match std::fs::read_to_string(path.join("identity")) {
        Ok(text) => match text.trim_end().strip_prefix("vectron-node 1 ").map(str::parse::<u64>) {
            Some(Ok(worker)) => check(NAME, Verdict::Ok, format!("worker {worker}")),
            _ => check(NAME, Verdict::Fail, "damaged; restore the file 'identity' from a backup"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let used = path.join("journal").exists() || path.join("shards").exists();
            let verdict = if used { Verdict::Fail } else { Verdict::Ok };
            check(NAME, verdict, if used { "missing beside data; restore it" } else { "not drawn yet" })
        }
        Err(error) => check(NAME, Verdict::Fail, format!("cannot be read: {error}")),
    }
}

/// Opens every file and reads its first byte: permissions and plain device errors show here. Checksums are
/// checked by the node itself when it opens the directory.
fn files(path: &Path, clock: &SystemClock) -> Check {
    const NAME: &str = "files";
    let (mut files, mut bytes, mut newest) = (0_u64, 0_u64, 0_u64);
    let mut waiting = vec![path.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // A running node may remove what was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return check(NAME, Verdict::Fail, format!("{}: {error}", folder.display())),
        };
        for entry in entries.flatten() {
            let file = entry.path();
            if file.is_dir() {
                waiting.push(file);
                continue;
            }
            match first_byte(&file) {
                Ok((length, modified)) => {
                    (files, bytes, newest) = (files + 1, bytes + length, newest.max(modified));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return check(NAME, Verdict::Fail, format!("{}: {error}", file.display())),
            }
        }
    }
    if newest > clock.wall_ms().saturating_add(DAY_MS) {
        return check(NAME, Verdict::Warn, "written in the future; the clock has gone back since");
    }
    check(NAME, Verdict::Ok, format!("{files} files, {}, all readable", human_bytes(bytes)))
}

#[allow(clippy::disallowed_methods, reason = "only looks, beside a node that may be running")]
fn first_byte(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let _ = file.read(&mut [0])?;
    let modified = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok((about.len(), u64::try_from(modified).unwrap_or(u64::MAX)))
}

/// The directory itself, or the nearest one above that is there.
fn nearest(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}

fn space(path: &Path) -> Check {
    const NAME: &str = "disk space";
    let about = match statvfs(nearest(path)) {
        Ok(about) => about,
        Err(error) => return check(NAME, Verdict::Fail, format!("cannot be told: {error}")),
    };
    let (free, total) = (about.f_bavail * about.f_frsize, about.f_blocks * about.f_frsize);
    let used = 100 - (free.saturating_mul(100)).checked_div(total).unwrap_or(0).min(100);
    let detail = format!("{} free of {}, {used} % used", human_bytes(free), human_bytes(total));
    let verdict = match used {
        DISK_FULL_PERCENT.. => Verdict::Fail,
        80.. => Verdict::Warn,
        _ => Verdict::Ok,
    };
    let fix = if verdict == Verdict::Ok { "" } else { "; from 90 % on upserts are refused" };
    check(NAME, verdict, detail + fix)
}

/// Writes and syncs a small file: whether it may, and how long a durable write takes here.
#[allow(clippy::disallowed_methods, reason = "tries the device itself, in a file of its own")]
fn write_speed(path: &Path, clock: &SystemClock) -> Check {
    const NAME: &str = "durable write";
    let folder = nearest(path);
    let probe = folder.join(format!(".vectron-doctor-{:016x}", SystemRandom.next_u64()));
    let start = clock.now();
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    let took = clock.now().since(start).as_secs_f64() * 1000.0;
    // A probe that was never made cannot be removed; one that stays is named by the next listing.
    let _ = std::fs::remove_file(&probe);
    match written {
        Err(error) => check(NAME, Verdict::Fail, format!("{}: {error}", folder.display())),
        Ok(()) if took > 100.0 => check(NAME, Verdict::Warn, format!("{took:.1} ms; writes wait for this")),
        Ok(()) => check(NAME, Verdict::Ok, format!("{took:.1} ms")),
    }
}

fn wall_clock(clock: &SystemClock) -> Check {
    const NAME: &str = "clock";
    let (before, now) = (clock.now(), clock.wall_ms());
    let shown = i64::try_from(now).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let shown = shown.map_or_else(|| format!("{now} ms"), |time| time.to_string());
    if now < EARLIEST_MS {
        return check(NAME, Verdict::Fail, format!("{shown} is in the past; set the clock"));
    }
    if clock.now() < before {
        return check(NAME, Verdict::Fail, "the monotonic clock went back");
    }
    check(NAME, Verdict::Ok, shown)
}

fn memory() -> Check {
    const NAME: &str = "memory";
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the field's width differs between platforms")]
    let total = u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit.max(1)));
    let detail = human_bytes(total);
    match total >> 20 {
        0..256 => check(NAME, Verdict::Fail, format!("{detail}; a node needs 256 MiB")),
        256..1024 => check(NAME, Verdict::Warn, format!("{detail}; room for small collections only")),
        _ => check(NAME, Verdict::Ok, detail),
    }
}

fn open_files() -> Check {
    const NAME: &str = "open files";
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        None => check(NAME, Verdict::Ok, "no limit"),
        Some(limit @ 0..256) => {
            check(NAME, Verdict::Fail, format!("limit {limit}; raise it: ulimit -n 65536"))
        }
        Some(limit @ 256..4096) => check(
            NAME,
            Verdict::Warn,
            format!("limit {limit}; raise it for many connections: ulimit -n 65536"),
        ),
        Some(limit) => check(NAME, Verdict::Ok, format!("limit {limit}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_free_taken_or_wrong() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener.set_nonblocking(true));
        assert_eq!(port(&address.to_string()).verdict, Verdict::Fail);
        drop(listener);
        assert_eq!(port(&address.to_string()).verdict, Verdict::Ok);
        assert_eq!(port("nonsense").verdict, Verdict::Fail);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's file")]
    fn directories_are_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let clock = SystemClock::new();
        let gone = folder.path().join("a/b");
        assert_eq!(directory(&gone, &clock)[0].verdict, Verdict::Ok);
        assert_eq!(write_speed(&gone, &clock).verdict, Verdict::Ok);
        std::fs::create_dir(folder.path().join("journal")).unwrap();
        assert_eq!(identity(folder.path()).verdict, Verdict::Fail);
        std::fs::write(folder.path().join("identity"), "vectron-node 1 17\n").unwrap();
        assert_eq!(identity(folder.path()).detail, "worker 17");
        assert_eq!(files(folder.path(), &clock).detail, "1 files, 18 B, all readable");
        std::fs::write(folder.path().join("identity"), "junk").unwrap();
        assert_eq!(identity(folder.path()).verdict, Verdict::Fail);
        assert_eq!(directory(&folder.path().join("identity"), &clock)[0].verdict, Verdict::Fail);
    }
}
