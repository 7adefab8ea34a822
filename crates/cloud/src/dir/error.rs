//! From what the operating system says to what the caller should do.

use std::{
    io,
    path::{Path, PathBuf},
};

use backup::ObjectName;

use crate::{CloudError, error::boxed};

/// A failed file operation.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub(super) struct FileError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

pub(super) type FileResult<T> = Result<T, FileError>;

impl FileError {
    /// For `map_err`.
    pub(super) fn on(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { doing, path, source }
    }

    pub(super) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    pub(super) fn is_about_permission(&self) -> bool {
        matches!(self.reaction(), Reaction::Permit)
    }

    /// What it means for a call about this object.
    pub(super) fn about(self, name: &ObjectName) -> CloudError {
        match self.reaction() {
            Reaction::Change => CloudError::Refused { name: name.clone(), source: boxed(self) },
            other => self.into_cloud(other),
        }
    }

    /// What it means for the folder as a whole.
    pub(super) fn about_folder(self) -> CloudError {
        match self.reaction() {
            Reaction::Change => CloudError::BadAddress { source: boxed(self) },
            other => self.into_cloud(other),
        }
    }

    fn into_cloud(self, reaction: Reaction) -> CloudError {
        let source = boxed(self);
        match reaction {
            Reaction::FreeSpace => CloudError::Full { source },
            Reaction::Permit => CloudError::Unauthorized { source },
            Reaction::Leave => CloudError::TooOld { source },
            Reaction::Change | Reaction::Wait => {
                CloudError::Unavailable { source, retry_after: None }
            }
        }
    }

    fn reaction(&self) -> Reaction {
        use io::ErrorKind as Kind;
        match self.source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Reaction::FreeSpace,
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Reaction::Permit,
            // The file system has no locks.
            Kind::Unsupported => Reaction::Leave,
            Kind::InvalidFilename
            | Kind::InvalidInput
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::FileTooLarge => Reaction::Change,
            _ => Reaction::Wait,
        }
    }
}

/// What the caller should do.
enum Reaction {
    Wait,
    FreeSpace,
    Permit,
    Leave,
    /// Use another name or address.
    Change,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_errors_are_typed_by_reaction() {
        let name = ObjectName::new("a/b").unwrap();
        let about = |kind: io::ErrorKind| {
            let error = || FileError::on("write", Path::new("x"))(kind.into());
            let text = |e: CloudError| format!("{e:?}").split(' ').next().unwrap().to_owned();
            (text(error().about(&name)), text(error().about_folder()))
        };
        use io::ErrorKind as Kind;
        for (kind, object, folder) in [
            (Kind::StorageFull, "Full", "Full"),
            (Kind::QuotaExceeded, "Full", "Full"),
            (Kind::PermissionDenied, "Unauthorized", "Unauthorized"),
            (Kind::ReadOnlyFilesystem, "Unauthorized", "Unauthorized"),
            (Kind::Unsupported, "TooOld", "TooOld"),
            (Kind::NotADirectory, "Refused", "BadAddress"),
            (Kind::InvalidFilename, "Refused", "BadAddress"),
            (Kind::FileTooLarge, "Refused", "BadAddress"),
            (Kind::NotFound, "Unavailable", "Unavailable"),
            (Kind::TimedOut, "Unavailable", "Unavailable"),
            (Kind::Other, "Unavailable", "Unavailable"),
        ] {
            assert_eq!(about(kind), (object.into(), folder.into()), "{kind:?}");
        }
    }

    #[test]
    fn a_full_disk_is_told_as_the_system_tells_it() {
        if cfg!(target_os = "linux") {
            let enospc = io::Error::from_raw_os_error(28);
            let error = FileError::on("write", Path::new("x"))(enospc).about_folder();
            assert!(matches!(error, CloudError::Full { .. }), "{error:?}");
        }
    }
}
