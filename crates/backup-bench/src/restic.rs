//! The peer: restic, as Debian has it, with a repository in a folder.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use crate::{Result, child, data};

/// How many files lie in one folder; a folder of all of them would be unfair.
const FILES: usize = 1000;

/// A repository, and the password that opens it.
#[derive(Debug)]
pub(crate) struct Restic {
    repository: PathBuf,
    password: PathBuf,
}

/// The version, or why there is nobody to compare with.
pub(crate) fn version() -> Result<String> {
    let mut command = child::on_cores("restic".into(), &["version".into()]);
    let output = command.output().map_err(|_| "restic is not installed (Debian: restic)")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(text.split(" compiled").next().unwrap_or_default().to_owned())
}

impl Restic {
    /// A new repository; `place` becomes a folder.
    pub(crate) fn init(place: &Path) -> Result<Self> {
        fs::create_dir(place)?;
        let restic =
            Self { repository: place.join("repository"), password: place.join("password") };
        // Nothing secret is in it, but restic wants one.
        fs::write(&restic.password, "benchmark")?;
        restic.run(&["init".into()], place)?;
        Ok(restic)
    }

    /// Backs a folder up; seconds.
    pub(crate) fn back_up(&self, folder: &Path) -> Result<f64> {
        // As it would be at the first time: nothing is known of the files.
        self.run(&["backup".into(), "--force".into(), ".".into()], folder)
    }

    /// Restores the newest snapshot into a folder, which must not exist; seconds.
    pub(crate) fn restore(&self, folder: &Path) -> Result<f64> {
        let parent = folder.parent().unwrap_or(folder);
        let args = ["restore".into(), "latest".into(), "--target".into(), folder.into()];
        self.run(&args, parent)
    }

    fn run(&self, args: &[OsString], within: &Path) -> Result<f64> {
        // A cache would be a second copy to write, and both sides are on the same disk.
        let args = [&["--quiet".into(), "--no-cache".into()], args].concat();
        let mut command = child::on_cores("restic".into(), &args);
        command
            .env("RESTIC_REPOSITORY", &self.repository)
            .env("RESTIC_PASSWORD_FILE", &self.password)
            .current_dir(within)
            .stdout(Stdio::null());
        let begun = Instant::now();
        let status = command.status()?;
        let seconds = begun.elapsed().as_secs_f64();
        if status.success() { Ok(seconds) } else { Err(format!("restic: {status}").into()) }
    }
}

/// Writes the records as files, named by their keys.
pub(crate) fn write_files(place: &Path, records: usize) -> Result<()> {
    fs::create_dir(place)?;
    for number in 0..records {
        let folder = place.join((number / FILES).to_string());
        if number % FILES == 0 {
            fs::create_dir(&folder)?;
        }
        fs::write(folder.join(data::key(number)?.as_str()), data::value(number, 0))?;
    }
    Ok(())
}
