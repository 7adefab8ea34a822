//! SFTP: any machine with an SSH server (draft-ietf-secsh-filexfer-02, and OpenSSH's extensions).
//!
//! Objects lie as files under their names, exactly as in a folder of
//! [`DirCloud`](crate::DirCloud). Each put goes to a new file first and is then renamed to its place:
//! the protocol's own renaming refuses to replace, that of OpenSSH's `posix-rename` replaces at once.
//! The server must be known: its key is looked up in `known_hosts`, and nothing is sent to another.

mod backend;
mod client;
mod connect;
mod credentials;
mod error;
mod known_hosts;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::settings::SftpSettings;
use self::{backend::Sftp, connect::Place};
use super::{Opening, Service};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::no_credentials,
    address::{Address, bad},
};

pub(super) const SERVICE: Service = Service {
    name: "a machine with an SSH server",
    schemes: &["sftp"],
    example: "sftp://USER@HOST/PATH",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

/// Where SSH servers listen.
const PORT: u16 = 22;

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &["key", "known-hosts"], SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let secrets = &access.secrets;
    let host = address.host().ok_or_else(|| bad("it needs the name of a machine"))?;
    let user = address.user().or_else(|| secrets.variable("STRONGROOM_SFTP_USER"));
    let user = user.or_else(|| secrets.variable("USER")).ok_or_else(|| {
        no_credentials("name the user in the address, or in STRONGROOM_SFTP_USER")
    })?;
    let given = address.option("known-hosts").map(Into::into);
    let known_hosts = given.or_else(|| secrets.at_home(".ssh/known_hosts"));
    let place = Place {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: address.port().unwrap_or(PORT),
        user,
        known_hosts: known_hosts
            .ok_or_else(|| bad("where known_hosts is, only the option known-hosts can tell"))?,
        credentials: credentials::find(address, secrets)?,
        settings: access.sftp,
    };
    Ok(Arc::new(Sftp::new(place, &address.path())))
}
