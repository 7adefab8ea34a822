//! What the figures were taken on, and what the kernel counts.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use kv_core::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A machine, as far as it matters to the figures. Nothing that tells whose it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many of its cores may be used.
    pub cores: usize,
    /// GiB of memory.
    pub memory_gib: u64,
    /// Operating system and version.
    pub kernel: String,
    /// The file system that was written to.
    pub file_system: String,
    /// What kind of disk it is on.
    pub disk: String,
}

/// The operating system's clock, for the recorder.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that others are given")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Machine {
    /// Why figures from here mean little.
    pub fn warning(&self) -> Option<String> {
        let real = ["ext4", "ext3", "xfs", "btrfs", "f2fs", "zfs", "bcachefs"];
        (!real.contains(&self.file_system.as_str())).then(|| {
            format!(
                "the stores lie on `{}`, which is no file system on a disk of this machine",
                self.file_system
            )
        })
    }
}

/// This machine, and the disk that holds `dir`.
pub fn describe(dir: &Path) -> Result<Machine> {
    let mount = Mount::of(dir)?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What follows the numbers names a build, not a version.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    Ok(Machine {
        cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: thread::available_parallelism().map_or(1, usize::from),
        memory_gib: field("/proc/meminfo", "MemTotal").map_or(0, |text| {
            let kib: u64 = text.trim_end_matches(" kB").parse().unwrap_or(0);
            kib.div_ceil(1 << 20)
        }),
        kernel: format!("{} {kernel}", std::env::consts::OS),
        disk: mount.disk().to_owned(),
        file_system: mount.file_system,
    })
}

/// Bytes the disk has written so far, once nothing is left for it to write: for everybody, and with
/// the file system's own. (What the kernel counts for one process are pages that were touched,
/// and those may be megabytes large.)
pub fn bytes_written(dir: &Path) -> Result<u64> {
    if !Command::new("sync").status()?.success() {
        return Err("sync failed".into());
    }
    let mount = Mount::of(dir)?;
    let name = fs::canonicalize(&mount.source).unwrap_or_default();
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let places =
        [format!("/sys/class/block/{name}/stat"), format!("/sys/dev/block/{}/stat", mount.device)];
    let stat = places.iter().find_map(|path| fs::read_to_string(path).ok());
    let sectors = stat.and_then(|stat| stat.split_whitespace().nth(6)?.parse::<u64>().ok());
    Ok(sectors.ok_or("the kernel does not count what this disk writes")? * 512)
}

/// Bytes of memory this process has in use now, as the kernel sees it.
pub fn resident_bytes() -> u64 {
    status_kib("VmRSS") << 10
}

/// The most it ever had.
pub fn peak_resident_bytes() -> u64 {
    status_kib("VmHWM") << 10
}

/// Seconds of processor time that this process has used, in the kernel, too.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name of the program, which may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // What Linux shows to programs are hundredths, on every machine (USER_HZ, `man 5 proc`).
    ticks as f64 / 100.0
}

/// Today, as year, month and day.
pub fn today() -> String {
    let days = (SystemClock.now().0 / 86_400_000) as i64;
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The commit that is measured, with a `+` if one of these paths has changes that are not in it.
pub fn commit(paths: &[&str]) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let status = [&["status", "--porcelain", "--"], paths].concat();
    let dirty = git(&status).is_some_and(|changes| !changes.is_empty());
    format!("{hash}{}", if dirty { "+" } else { "" })
}

fn status_kib(name: &str) -> u64 {
    let text = field("/proc/self/status", name).unwrap_or_default();
    text.trim_end_matches(" kB").parse().unwrap_or(0)
}

/// The first value of a `name: value` file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

/// Where a folder is mounted.
struct Mount {
    device: String,
    file_system: String,
    source: String,
}

impl Mount {
    fn of(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let mounts = table.lines().filter_map(Self::parse);
        let above = mounts.filter(|(point, _)| dir.starts_with(point));
        // Of two mounts on one point the later one hides the earlier.
        let nearest = above.max_by_key(|(point, _)| point.len());
        Ok(nearest.map(|(_, mount)| mount).ok_or("the folder is not mounted")?)
    }

    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
    fn parse(line: &str) -> Option<(&str, Self)> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(2);
        let (device, point) = (place.next()?.to_owned(), place.nth(1)?);
        let mut kind = kind.split(' ');
        let (file_system, source) = (kind.next()?.to_owned(), kind.next()?.to_owned());
        Some((point, Self { device, file_system, source }))
    }

    fn disk(&self) -> &'static str {
        match self.source.strip_prefix("/dev/") {
            Some(name) if name.starts_with("vd") || name.starts_with("xvd") => "virtual disk",
            Some(name) if name.starts_with("nvme") => "NVMe disk",
            Some(name) if name.starts_with("sd") => "SCSI or SATA disk",
            Some(name) if name.starts_with("mmcblk") => "memory card",
            Some(_) => "block device",
            None => "no disk of its own",
        }
    }
}

/// The date of a day, counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }

    #[test]
    fn a_line_of_the_mount_table_is_understood() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/vda rw,errors=continue";
        let (point, mount) = Mount::parse(line).unwrap();
        assert_eq!((point, mount.device.as_str()), ("/mnt2", "98:0"));
        assert_eq!((mount.file_system.as_str(), mount.disk()), ("ext3", "virtual disk"));
    }

    #[test]
    fn a_file_system_in_memory_is_warned_of() {
        let machine = |file_system: &str| Machine {
            file_system: file_system.to_owned(),
            ..Machine::default()
        };
        assert!(machine("tmpfs").warning().is_some());
        assert!(machine("ext4").warning().is_none());
    }
}
