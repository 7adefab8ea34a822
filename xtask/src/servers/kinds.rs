//! How each server is started, and what the suite must know about it.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};

use super::{
    http,
    process::{Process, eventually, free_port},
    system,
};
use crate::run::{Step, root};

/// A server.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The service it stands for, and what people call it.
    pub(super) service: &'static str,
    pub(super) shown: &'static str,
    /// Asks for its version, where the system has it and not we.
    pub(super) version: Option<fn() -> String>,
    /// What it is installed with, and what else must be there.
    pub(super) needs: &'static [&'static str],
    /// Gets the folder of this command and one for its data.
    pub(super) start: fn(&Path, &Path) -> Result<Running, String>,
}

/// A server that runs.
pub(super) struct Running {
    pub(super) name: &'static str,
    pub(super) described: Value,
    pub(super) _process: Process,
}

pub(super) const ALL: [Kind; 10] = [
    Kind {
        name: "moto",
        service: "S3",
        shown: "moto 5.2",
        version: None,
        needs: &["python3"],
        start: moto,
    },
    Kind {
        name: "seaweedfs",
        service: "S3",
        shown: "SeaweedFS 4.48",
        version: None,
        needs: &["python3"],
        start: seaweedfs,
    },
    Kind {
        name: "s3rver",
        service: "S3",
        shown: "s3rver 3.7",
        version: None,
        needs: &["npm"],
        start: s3rver,
    },
    Kind {
        name: "azurite",
        service: "Azure",
        shown: "Azurite 3.35",
        version: None,
        needs: &["npm"],
        start: azurite,
    },
    Kind {
        name: "wsgidav",
        service: "WebDAV",
        shown: "wsgidav 4.4",
        version: None,
        needs: &["python3"],
        start: wsgidav,
    },
    Kind {
        name: "rclone",
        service: "WebDAV",
        shown: "rclone 1.75",
        version: None,
        needs: &["python3"],
        start: rclone,
    },
    Kind {
        name: "apache",
        service: "WebDAV",
        shown: "Apache 2.4 mod_dav",
        version: Some(system::apache_version),
        needs: &["apache2"],
        start: system::apache,
    },
    Kind {
        name: "openssh",
        service: "SFTP",
        shown: "OpenSSH 9.2",
        version: Some(system::openssh_version),
        needs: &["sshd"],
        start: system::openssh,
    },
    Kind {
        name: "rclone-sftp",
        service: "SFTP",
        shown: "rclone 1.75",
        version: None,
        needs: &["python3", "sshd"],
        start: rclone_sftp,
    },
    Kind {
        name: "js-ipfs",
        service: "IPFS",
        shown: "js-ipfs 0.18",
        version: None,
        needs: &["npm"],
        start: js_ipfs,
    },
];

const BUCKET: &str = "strongroom";

fn moto(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let program = folder.join("python/bin/moto_server");
    let process =
        Process::start(&program, &["-H", "127.0.0.1", "-p", &at.port().to_string()], data, at)?;
    eventually(|| made(http::send(at, "PUT", &format!("/{BUCKET}"))?))?;
    Ok(Running { name: "moto", described: s3(at, "key", "secret"), _process: process })
}

fn seaweedfs(folder: &Path, data: &Path) -> Result<Running, String> {
    let (at, filer, master, volume) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let program = folder.join("python/bin/weed");
    let keys = json!({"identities": [{"name": "test", "actions": ["Admin"],
        "credentials": [{"accessKey": "key", "secretKey": "secret-of-the-key"}]}]});
    let config = data.with_extension("json");
    fs::write(&config, keys.to_string()).map_err(|e| e.to_string())?;
    let dir = data.display().to_string();
    let args = [
        "server".to_owned(),
        "-ip=127.0.0.1".to_owned(),
        "-ip.bind=127.0.0.1".to_owned(),
        format!("-dir={dir}"),
        format!("-master.port={}", master.port()),
        format!("-volume.port={}", volume.port()),
        "-master.volumeSizeLimitMB=64".to_owned(),
        "-volume.max=8".to_owned(),
        "-filer".to_owned(),
        format!("-filer.port={}", filer.port()),
        "-s3".to_owned(),
        format!("-s3.port={}", at.port()),
        format!("-s3.config={}", config.display()),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let process = Process::start(&program, &args, data, at)?;
    eventually(|| made(http::send(filer, "POST", &format!("/buckets/{BUCKET}/"))?))?;
    Ok(Running {
        name: "seaweedfs",
        described: s3(at, "key", "secret-of-the-key"),
        _process: process,
    })
}

fn s3rver(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let port = at.port().to_string();
    let dir = data.display().to_string();
    let script = script(folder, "s3rver");
    let args = [
        &*script,
        "-d",
        &dir,
        "-a",
        "127.0.0.1",
        "-p",
        &port,
        "-s",
        "--no-vhost-buckets",
        "--configure-bucket",
        BUCKET,
    ];
    let process = Process::start(Path::new("node"), &args, data, at)?;
    Ok(Running { name: "s3rver", described: s3(at, "S3RVER", "S3RVER"), _process: process })
}

/// The account that every installation has; its key is public.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes a container; arguments: port, account, key, container.
const MAKE_CONTAINER: &str = "
    const [port, account, key, name] = process.argv.slice(1);
    const date = new Date().toUTCString();
    const headers = `x-ms-date:${date}\\nx-ms-version:2021-08-06`;
    const resource = `/${account}/${account}/${name}\\nrestype:container`;
    const text = `PUT\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n${headers}\\n${resource}`;
    const hmac = require('crypto').createHmac('sha256', Buffer.from(key, 'base64'));
    const signature = hmac.update(text, 'utf8').digest('base64');
    const request = require('http').request({
        host: '127.0.0.1', port, method: 'PUT', path: `/${account}/${name}?restype=container`,
        headers: { 'x-ms-date': date, 'x-ms-version': '2021-08-06', 'content-length': 0,
            authorization: `SharedKey ${account}:${signature}` },
    }, (answer) => process.exit(answer.statusCode === 201 ? 0 : 1));
    request.on('error', () => process.exit(1));
    request.end();
";

fn azurite(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let port = at.port().to_string();
    let dir = data.display().to_string();
    let script = script(folder, "azurite-blob");
    let args = [
        &*script,
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        &port,
        "--location",
        &dir,
        "--silent",
        "--skipApiVersionCheck",
    ];
    let process = Process::start(Path::new("node"), &args, data, at)?;
    eventually(|| {
        let args = ["-e", MAKE_CONTAINER, &port, ACCOUNT, ACCOUNT_KEY, BUCKET];
        if Step::new("node", &args).quiet().succeeds() {
            Ok(())
        } else {
            Err("no container".into())
        }
    })?;
    let url = |container: &str| {
        format!("az://{container}/{{fresh}}?account={ACCOUNT}&endpoint=http://{{line}}/{ACCOUNT}")
    };
    let described = json!({
        "address": at, "url": url(BUCKET), "missing": url("nowhere"),
        "variables": {"AZURE_STORAGE_KEY": ACCOUNT_KEY},
        "wrong": {"AZURE_STORAGE_KEY": "d3JvbmcgYnV0IG9mIHRoZSByaWdodCBmb3Jt"},
    });
    Ok(Running { name: "azurite", described, _process: process })
}

fn wsgidav(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let config = json!({
        "host": "127.0.0.1", "port": at.port(), "verbose": 1, "logging": {"enable": false},
        "provider_mapping": {"/": data},
        "simple_dc": {"user_mapping": {"*": {"user": {"password": "password"}}}},
        "http_authenticator": {"accept_basic": true, "accept_digest": false,
            "default_to_digest": false},
    });
    let path = data.with_extension("json");
    fs::write(&path, config.to_string()).map_err(|e| e.to_string())?;
    let program = folder.join("python/bin/wsgidav");
    let process = Process::start(&program, &["-c", &path.display().to_string()], data, at)?;
    Ok(Running { name: "wsgidav", described: webdav(at), _process: process })
}

fn rclone(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let process = serve(folder, data, at, "webdav", &[])?;
    Ok(Running { name: "rclone", described: webdav(at), _process: process })
}

/// The same over SSH, with a password.
fn rclone_sftp(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    let host = data.with_extension("host").display().to_string();
    for old in [host.clone(), format!("{host}.pub")] {
        let _ = fs::remove_file(old);
    }
    system::make_key(&host, "ed25519", "")?;
    let process = serve(folder, data, at, "sftp", &["--key", &host])?;
    let host_key = fs::read_to_string(format!("{host}.pub")).map_err(|e| e.to_string())?;
    let described = json!({
        "address": at,
        "url": "sftp://user@{line}/{fresh}/wallet?known-hosts={known-hosts}",
        "missing": null,
        "variables": {"STRONGROOM_SFTP_PASSWORD": "password"},
        "wrong": {"STRONGROOM_SFTP_PASSWORD": "wrong-password"},
        "host_key": host_key.trim(),
    });
    Ok(Running { name: "rclone-sftp", described, _process: process })
}

/// rclone with a protocol, for one user.
fn serve(
    folder: &Path,
    data: &Path,
    at: SocketAddr,
    protocol: &str,
    more: &[&str],
) -> Result<Process, String> {
    let find = "import rclone_api, os; print(os.path.dirname(rclone_api.__file__) + '/bin/rclone')";
    let python = folder.join("python/bin/python").display().to_string();
    let program = Step::new(&python, &["-c", find]).output()?;
    let (dir, address) = (data.display().to_string(), at.to_string());
    let args = ["serve", protocol, "--addr", &address, "--user", "user", "--pass", "password"];
    let args = [&args, more, &[&*dir]].concat();
    Process::start(Path::new(program.trim()), &args, data, at)
}

fn s3(at: SocketAddr, key: &str, secret: &str) -> Value {
    let url =
        |bucket: &str| format!("s3://{bucket}/{{fresh}}?endpoint=http://{{line}}&region=us-east-1");
    json!({
        "address": at, "url": url(BUCKET), "missing": url("nowhere"),
        "variables": {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        "wrong": {"AWS_SECRET_ACCESS_KEY": "wrong-but-of-the-right-form"},
    })
}

fn js_ipfs(folder: &Path, data: &Path) -> Result<Running, String> {
    let at = free_port()?;
    // Beside the packages, where node looks for them.
    let script = folder.join("npm/ipfs.mjs");
    fs::copy(root().join("xtask/servers/ipfs.mjs"), &script).map_err(|e| e.to_string())?;
    let args =
        [&*script.display().to_string(), &at.port().to_string(), &*data.display().to_string()];
    let process = Process::start(Path::new("node"), &args, data, at)?;
    eventually(|| made(http::send(at, "POST", "/api/v0/version")?))?;
    let described = json!({
        "address": at, "url": "ipfs+http://{line}/{fresh}/wallet", "missing": null,
        "variables": {}, "wrong": null,
    });
    Ok(Running { name: "js-ipfs", described, _process: process })
}

pub(super) fn webdav(at: SocketAddr) -> Value {
    json!({
        "address": at, "url": "webdav+http://user@{line}/{fresh}/wallet", "missing": null,
        "variables": {"STRONGROOM_WEBDAV_PASSWORD": "password"},
        "wrong": {"STRONGROOM_WEBDAV_PASSWORD": "wrong-password"},
    })
}

fn script(folder: &Path, name: &str) -> String {
    folder.join("npm/node_modules/.bin").join(name).display().to_string()
}

fn made(status: u16) -> Result<(), String> {
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("no bucket: {status}")) }
}
