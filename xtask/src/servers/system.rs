//! The servers that belong to the system: they are not installed here, only started.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use serde_json::json;

use super::{
    install::{APACHE, SSHD},
    kinds::{Running, webdav},
    process::{Process, free_port},
};
use crate::run::Step;

/// The keys that are made for OpenSSH: name, kind, and whether they have a passphrase. All but the
/// last sign in.
const KEYS: [(&str, &str, bool); 6] = [
    ("user", "ed25519", false),
    ("ecdsa", "ecdsa", false),
    ("rsa", "rsa", false),
    ("locked", "ed25519", true),
    ("locked-rsa", "rsa", true),
    ("wrong", "ed25519", false),
];

const PASSPHRASE: &str = "a passphrase of several words";

/// OpenSSH, for the user who starts it and some keys.
pub(super) fn openssh(_: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let file = |name: &str| data.join(name).display().to_string();
    let failed = |e: std::io::Error| e.to_string();
    make_key(&file("host"), "ed25519", "")?;
    let mut authorized = String::new();
    for (name, kind, has_passphrase) in KEYS {
        make_key(&file(name), kind, if has_passphrase { PASSPHRASE } else { "" })?;
        if name != "wrong" {
            authorized += &fs::read_to_string(file(&format!("{name}.pub"))).map_err(failed)?;
        }
    }
    fs::write(data.join("authorized"), authorized).map_err(failed)?;
    // What the server demands where it can change to other users.
    let _ = fs::create_dir_all("/run/sshd");
    let config = format!(
        "ListenAddress {at}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nMaxStartups 1000\nMaxSessions 1000\nLogLevel ERROR\n\
         Subsystem sftp internal-sftp\n",
        file("host"),
        file("authorized"),
    );
    fs::write(data.join("config"), config).map_err(failed)?;
    let process = Process::start(Path::new(SSHD), &["-D", "-e", "-f", &file("config")], data, at)?;
    let user = Step::new("id", &["-un"]).output()?;
    let host_key = fs::read_to_string(data.join("host.pub")).map_err(failed)?;
    let keys: BTreeMap<&str, String> = KEYS.map(|(name, _, _)| (name, file(name))).into();
    let described = json!({
        "address": at,
        "url": format!("sftp://{}@{{line}}{}/{{fresh}}/wallet?known-hosts={{known-hosts}}",
            user.trim(), data.display()),
        "missing": null,
        "variables": {"STRONGROOM_SFTP_KEY_FILE": file("user")},
        "wrong": {"STRONGROOM_SFTP_KEY_FILE": file("wrong")},
        "host_key": host_key.trim(),
        "keys": keys,
        "passphrase": PASSPHRASE,
    });
    Ok(Running { name: "openssh", described, _process: process })
}

/// The two numbers that stand after `before` in what a program says of itself.
fn version(program: &str, option: &str, before: &str) -> String {
    let said = Command::new(program).arg(option).output();
    let said = said.map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let rest = said.split_once(before).map_or("", |(_, rest)| rest);
    let numbers = rest.split(|c: char| !c.is_ascii_digit()).take(2);
    numbers.collect::<Vec<_>>().join(".")
}

pub(super) fn openssh_version() -> String {
    version("ssh", "-V", "OpenSSH_")
}

pub(super) fn apache_version() -> String {
    version(APACHE, "-v", "Apache/")
}

/// A key, with its public half beside it.
pub(super) fn make_key(file: &str, kind: &str, passphrase: &str) -> Result<(), String> {
    let args = ["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", file];
    Step::new("ssh-keygen", &args).run()
}

/// Where the modules of Apache are.
const MODULES: &str = "/usr/lib/apache2/modules";

/// Apache with mod_dav, and one user.
pub(super) fn apache(_: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let failed = |e: std::io::Error| e.to_string();
    // As root it changes to a user who may not reach the folders of this repository.
    let files = env::temp_dir().join("strongroom-test-apache");
    if files.exists() {
        fs::remove_dir_all(&files).map_err(failed)?;
    }
    fs::create_dir_all(files.join("files")).map_err(failed)?;
    // The hash of `password`.
    fs::write(files.join("users"), "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").map_err(failed)?;
    let modules = [
        "mpm_event",
        "authn_core",
        "authn_file",
        "auth_basic",
        "authz_core",
        "authz_user",
        "dav",
        "dav_fs",
    ];
    let modules: String = modules
        .iter()
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .collect();
    let place = files.display();
    let config = format!(
        "ServerRoot {place}\nServerName localhost\nListen {at}\nPidFile {place}/pid\n\
         ErrorLog {place}/errors\n{modules}User www-data\nGroup www-data\n\
         DocumentRoot {place}/files\nDavLockDB {place}/locks\n\
         <Directory {place}/files>\nDav On\nAuthType Basic\nAuthName files\n\
         AuthUserFile {place}/users\nRequire valid-user\n</Directory>\n"
    );
    let path = data.join("config");
    fs::write(&path, config).map_err(failed)?;
    open_to_all(&files)?;
    let args = ["-D", "FOREGROUND", "-f", &path.display().to_string()];
    let process = Process::start(Path::new(APACHE), &args, data, at)?;
    Ok(Running { name: "apache", described: webdav(at), _process: process })
}

/// Lets the server's own user read and write there.
fn open_to_all(folder: &Path) -> Result<(), String> {
    Step::new("chmod", &["-R", "a+rwX", &folder.display().to_string()]).run()
}
