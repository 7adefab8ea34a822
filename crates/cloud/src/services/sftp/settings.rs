//! What can be set about connections over SSH.

use std::time::Duration;

/// How long to wait for a server over SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SftpSettings {
    /// A connection that is not there, with the user signed in, after this time has failed. 20 s.
    pub connect_timeout: Duration,
    /// Once the server has answered nothing for this time a request has failed, and the connection
    /// with it. In whole seconds. 30 s.
    pub idle_timeout: Duration,
}

impl Default for SftpSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(20), idle_timeout: Duration::from_secs(30) }
    }
}
