//! The ways to sign in over SSH, against the real server: keys with and without a passphrase, the
//! agent, and a password that it does not take.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use cloud::{CloudError, ObjectName, Result};
use libtest_mimic::Trial;

use crate::bed::{Bed, Server};

/// A test with its name.
type Test = (&'static str, fn(&Ssh));

const TESTS: [Test; 9] = [
    ("a_key_of_each_kind_signs_in", a_key_of_each_kind_signs_in),
    ("a_key_with_a_passphrase_signs_in", a_key_with_a_passphrase_signs_in),
    (
        "a_passphrase_that_is_missing_or_wrong_is_told",
        a_passphrase_that_is_missing_or_wrong_is_told,
    ),
    ("the_usual_key_signs_in", the_usual_key_signs_in),
    ("a_usual_key_that_cannot_be_opened_is_told", a_usual_key_that_cannot_be_opened_is_told),
    ("the_agent_signs_in", the_agent_signs_in),
    ("an_agent_without_the_key_is_told", an_agent_without_the_key_is_told),
    ("a_password_that_is_not_taken_is_told", a_password_that_is_not_taken_is_told),
    ("a_server_with_another_key_gets_nothing", a_server_with_another_key_gets_nothing),
];

/// One for each way, named after the server.
pub(crate) fn trials(server: Option<&Arc<Server>>) -> impl Iterator<Item = Trial> {
    TESTS.iter().map(move |(name, test)| {
        let of_test = server.cloned();
        let trial = Trial::test(format!("openssh::{name}"), move || {
            if let Some(server) = of_test {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let bed = runtime.block_on(async { Bed::new(&server) });
                test(&Ssh { runtime, bed, server });
            }
            Ok(())
        });
        trial.with_ignored_flag(server.is_none())
    })
}

struct Ssh {
    runtime: tokio::runtime::Runtime,
    bed: Bed,
    server: Arc<Server>,
}

type Variables<'a> = [(&'a str, &'a str)];

impl Ssh {
    /// Signs in with these variables alone, and asks for something.
    fn sign_in(&self, variables: &Variables<'_>) -> Result<()> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let variables: BTreeMap<String, String> = variables.collect();
        self.runtime.block_on(async {
            let cloud = self.bed.try_open(variables)?;
            let found = cloud.list(&ObjectName::new("none").unwrap(), None).await?;
            assert!(found.is_empty());
            Ok(())
        })
    }

    fn key(&self, name: &str) -> String {
        self.server.keys.get(name).unwrap().display().to_string()
    }

    fn passphrase(&self) -> &str {
        self.server.passphrase.as_deref().unwrap()
    }
}

/// What is said to the user who is not let in.
fn said(outcome: Result<()>) -> String {
    match outcome {
        Err(CloudError::Unauthorized { source }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

fn a_key_of_each_kind_signs_in(ssh: &Ssh) {
    for name in ["user", "ecdsa", "rsa"] {
        let key = ssh.key(name);
        ssh.sign_in(&[("STRONGROOM_SFTP_KEY_FILE", &key)]).unwrap();
        // Itself instead of its file.
        let text = fs::read_to_string(&key).unwrap();
        ssh.sign_in(&[("STRONGROOM_SFTP_KEY", &text)]).unwrap();
    }
}

fn a_key_with_a_passphrase_signs_in(ssh: &Ssh) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    fs::write(&file, format!("{}\n", ssh.passphrase())).unwrap();
    for name in ["locked", "locked-rsa"] {
        let key = ("STRONGROOM_SFTP_KEY_FILE", &*ssh.key(name));
        ssh.sign_in(&[key, ("STRONGROOM_SFTP_PASSPHRASE", ssh.passphrase())]).unwrap();
        let file = file.display().to_string();
        ssh.sign_in(&[key, ("STRONGROOM_SFTP_PASSPHRASE_FILE", &file)]).unwrap();
    }
}

fn a_passphrase_that_is_missing_or_wrong_is_told(ssh: &Ssh) {
    let key = ("STRONGROOM_SFTP_KEY_FILE", &*ssh.key("locked"));
    let missing = said(ssh.sign_in(&[key]));
    assert!(missing.contains("has a passphrase: set STRONGROOM_SFTP_PASSPHRASE"), "{missing}");
    let wrong = "not-the-passphrase-of-it";
    let wrong_one = said(ssh.sign_in(&[key, ("STRONGROOM_SFTP_PASSPHRASE", wrong)]));
    assert!(wrong_one.contains("may not be its passphrase"), "{wrong_one}");
    assert!(!wrong_one.contains(wrong), "{wrong_one}");
}

/// A home with a copy of a key where `ssh` looks.
fn home(ssh: &Ssh, key: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".ssh")).unwrap();
    fs::copy(ssh.key(key), home.path().join(".ssh/id_ed25519")).unwrap();
    home
}

fn the_usual_key_signs_in(ssh: &Ssh) {
    let home = home(ssh, "user");
    ssh.sign_in(&[("HOME", &home.path().display().to_string())]).unwrap();
}

fn a_usual_key_that_cannot_be_opened_is_told(ssh: &Ssh) {
    let home = home(ssh, "locked");
    let home = ("HOME", &*home.path().display().to_string());
    let alone = said(ssh.sign_in(&[home]));
    assert!(alone.contains("id_ed25519 has a passphrase"), "{alone}");
    // With an agent that has other keys the server is asked, and then that is said.
    let agent = Agent::with(&ssh.key("wrong"));
    let refused = said(ssh.sign_in(&[home, ("SSH_AUTH_SOCK", &agent.socket())]));
    assert!(refused.contains("id_ed25519 has a passphrase"), "{refused}");
    ssh.sign_in(&[home, ("STRONGROOM_SFTP_PASSPHRASE", ssh.passphrase())]).unwrap();
}

fn the_agent_signs_in(ssh: &Ssh) {
    for name in ["user", "ecdsa", "rsa"] {
        let agent = Agent::with(&ssh.key(name));
        ssh.sign_in(&[("SSH_AUTH_SOCK", &agent.socket())]).unwrap();
    }
}

fn an_agent_without_the_key_is_told(ssh: &Ssh) {
    let agent = Agent::with(&ssh.key("wrong"));
    let refused = said(ssh.sign_in(&[("SSH_AUTH_SOCK", &agent.socket())]));
    assert!(refused.contains("does not let") && refused.contains("publickey"), "{refused}");
    let socket = agent.socket();
    drop(agent);
    let gone = said(ssh.sign_in(&[("SSH_AUTH_SOCK", &socket)]));
    assert!(gone.contains("does not let"), "{gone}");
}

fn a_password_that_is_not_taken_is_told(ssh: &Ssh) {
    let password = "a-password-of-nobody";
    let refused = said(ssh.sign_in(&[("STRONGROOM_SFTP_PASSWORD", password)]));
    assert!(refused.contains("it takes: publickey") && refused.contains("use a key"), "{refused}");
    assert!(!refused.contains(password), "{refused}");
}

fn a_server_with_another_key_gets_nothing(ssh: &Ssh) {
    let key = ("STRONGROOM_SFTP_KEY_FILE", &*ssh.key("user"));
    ssh.sign_in(&[key]).unwrap();
    // As if it were another machine than the one that was noted.
    let other = fs::read_to_string(format!("{}.pub", ssh.key("wrong"))).unwrap();
    ssh.bed.note_host_key(&other);
    let refused = ssh.sign_in(&[key]);
    let Err(CloudError::BadAddress { source }) = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("may not be the server it was"), "{source}");
    ssh.bed.note_host_key("");
    let refused = ssh.sign_in(&[key]);
    let Err(CloudError::BadAddress { source }) = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("is not in"), "{source}");
}

/// `ssh-agent` with one key; it ends when dropped.
struct Agent {
    process: Child,
    folder: tempfile::TempDir,
}

impl Agent {
    fn with(key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
        let agent = Self { process: command.spawn().unwrap(), folder };
        while !Path::new(&socket).exists() {
            sleep(Duration::from_millis(10));
        }
        let mut command = Command::new("ssh-add");
        command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).stdin(Stdio::null());
        assert!(command.status().unwrap().success());
        agent
    }

    fn socket(&self) -> String {
        self.folder.path().join("agent").display().to_string()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
