//! Whether a server is the one that the user knows: `known_hosts`, as OpenSSH keeps it.

use std::path::Path;

use russh::keys::{Algorithm, HashAlg, PublicKey, known_hosts::known_host_keys_path};

use super::error::{Failure, Kind};

/// The keys that the user has noted for a machine.
#[derive(Debug)]
pub(super) struct Known {
    machine: String,
    file: String,
    keys: Vec<PublicKey>,
}

impl Known {
    /// Reads the file. A machine that is not in it is an error.
    pub(super) fn read(file: &Path, host: &str, port: u16) -> Result<Self, Failure> {
        let shown = file.display().to_string();
        let found = known_host_keys_path(host, port, file).map_err(|e| {
            Failure::new(Kind::NotTrusted, format_args!("{shown} cannot be read: {e}"))
        })?;
        let keys: Vec<PublicKey> = found.into_iter().map(|(_, key)| key).collect();
        let machine =
            if port == super::PORT { host.to_owned() } else { format!("[{host}]:{port}") };
        let known = Self { machine, file: shown, keys };
        if known.keys.is_empty() { Err(known.unknown()) } else { Ok(known) }
    }

    /// The algorithms to ask the server for: those of the keys that are known, so that it does not
    /// show another of its keys.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for key in &self.keys {
            let of_key = match key.algorithm() {
                Algorithm::Rsa { .. } => [HashAlg::Sha512, HashAlg::Sha256]
                    .map(|hash| Algorithm::Rsa { hash: Some(hash) })
                    .to_vec(),
                other => vec![other],
            };
            algorithms.extend(of_key);
        }
        algorithms
    }

    /// Whether the server has shown one of them.
    pub(super) fn check(&self, shown: &PublicKey) -> Result<(), Failure> {
        if self.keys.iter().any(|key| key.key_data() == shown.key_data()) {
            return Ok(());
        }
        Err(Failure::new(
            Kind::NotTrusted,
            format_args!(
                "{} shows the key {}, and {} has another one: it may not be the server it was; ask \
                 its administrator",
                self.machine,
                shown.fingerprint(HashAlg::Sha256),
                self.file
            ),
        ))
    }

    fn unknown(&self) -> Failure {
        Failure::new(
            Kind::NotTrusted,
            format_args!(
                "{} is not in {}: sign in there with ssh once, and compare the key it shows",
                self.machine, self.file
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    #[test]
    fn only_the_key_that_is_noted_for_the_machine_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        fs::write(&file, format!("# mine\nhost {ONE}\n[host]:2222 {OTHER}\n")).unwrap();
        let key = |text: &str| PublicKey::from_openssh(text).unwrap();
        let known = Known::read(&file, "host", 22).unwrap();
        assert!(known.check(&key(ONE)).is_ok());
        let changed = known.check(&key(OTHER)).unwrap_err().to_string();
        assert!(changed.contains("SHA256:") && changed.contains("known_hosts"), "{changed}");
        assert!(Known::read(&file, "host", 2222).unwrap().check(&key(OTHER)).is_ok());
        for (host, port) in [("other", 22), ("host", 23)] {
            let unknown = Known::read(&file, host, port).unwrap_err().to_string();
            assert!(unknown.contains("is not in"), "{unknown}");
        }
        let none = Known::read(&folder.path().join("none"), "host", 22).unwrap_err();
        assert!(none.to_string().contains("is not in"), "{none}");
    }
}
