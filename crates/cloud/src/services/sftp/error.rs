//! From what SSH and SFTP say to what the caller should do.

use std::fmt;

use backup::ObjectName;
use russh_sftp::{client::error::Error as SftpError, protocol::StatusCode};

use crate::{CloudError, error::boxed};

/// A call that did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    message: String,
    kind: Kind,
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// No answer, or a connection that is no more.
    Broken,
    /// The server answered this.
    Status(StatusCode),
    /// The server is not who it should be, or is nobody we know.
    NotTrusted,
    /// The server does not let us in.
    NotAllowed,
    /// There is no room left.
    Full,
    /// The server lacks something.
    TooOld,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), kind }
    }

    /// Whether the connection is of no more use.
    pub(super) fn is_broken(&self) -> bool {
        self.kind == Kind::Broken
    }

    /// Whether there is no such file, or no such folder on the way to it.
    pub(super) fn is_absent(&self) -> bool {
        self.kind == Kind::Status(StatusCode::NoSuchFile)
    }

    /// Whether the server only says that it did not work: for instance because there is a file.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Status(StatusCode::Failure | StatusCode::PermissionDenied))
    }

    /// As what is wrong with the call about an object.
    pub(super) fn about(self, name: &ObjectName) -> CloudError {
        match self.kind {
            Kind::Status(StatusCode::BadMessage) => {
                CloudError::Refused { name: name.clone(), source: boxed(self) }
            }
            _ => self.about_cloud(),
        }
    }

    /// As what is wrong with the cloud as a whole.
    pub(super) fn about_cloud(self) -> CloudError {
        let kind = self.kind;
        let source = boxed(self);
        match kind {
            Kind::Broken => CloudError::Unavailable { source, retry_after: None },
            Kind::NotTrusted => CloudError::BadAddress { source },
            Kind::NotAllowed | Kind::Status(StatusCode::PermissionDenied) => {
                CloudError::Unauthorized { source }
            }
            Kind::Full => CloudError::Full { source },
            Kind::TooOld | Kind::Status(StatusCode::OpUnsupported) => CloudError::TooOld { source },
            Kind::Status(StatusCode::NoSuchFile) => CloudError::BadAddress { source },
            // The server says no more: a quota, a busy disk.
            Kind::Status(_) => CloudError::Unavailable { source, retry_after: None },
        }
    }
}

impl From<SftpError> for Failure {
    fn from(error: SftpError) -> Self {
        match error {
            SftpError::Status(status) => {
                let said = status.error_message.chars().filter(|c| !c.is_control());
                let said: String = said.take(200).collect();
                let kind = match status.status_code {
                    StatusCode::NoConnection | StatusCode::ConnectionLost => Kind::Broken,
                    code => Kind::Status(code),
                };
                Self::new(kind, format_args!("the server answered: {said}"))
            }
            other => Self::new(Kind::Broken, other),
        }
    }
}
