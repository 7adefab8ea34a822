//! Who a server is, over TLS: one with a certificate that only some trust.
//!
//! The certificates were made once and are good for a hundred years; the keys of the two authorities
//! were thrown away.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use cloud::{
    Access, CloudBackend, CloudError, CloudUrl, ObjectName, PutMode, Secrets, open_cloud_with,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

const ROOT: &[u8] = include_bytes!("tls/root.pem");
const OTHER_ROOT: &[u8] = include_bytes!("tls/other-root.pem");
const SERVER: &[u8] = include_bytes!("tls/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("tls/server-key.pem");

/// A server for `localhost`. It answers every request, and counts the bytes that were meant for it.
struct Server {
    port: u16,
    heard: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_slice(SERVER).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (config, heard) = (Arc::new(config), Arc::<AtomicUsize>::default());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = heard.clone();
        // It ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, count) = (config.clone(), count.clone());
                thread::spawn(move || answer(stream, config, &count));
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, heard: &AtomicUsize) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut buffer = [0; 16 * 1024];
    // A request comes in one piece here. Who does not trust us goes away before.
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        heard.fetch_add(length, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

async fn open(url: String, change: impl FnOnce(&mut Access)) -> Arc<dyn CloudBackend> {
    let mut access = Access::default();
    access.secrets =
        Secrets::new(|name| (name == "STRONGROOM_WEBDAV_PASSWORD").then(|| "password".to_owned()));
    access.http.idle_timeout = Duration::from_secs(10);
    change(&mut access);
    open_cloud_with(&CloudUrl::parse(&url).unwrap(), &access).await.unwrap()
}

fn name() -> ObjectName {
    ObjectName::new("a/b").unwrap()
}

/// A file with the certificate of an authority.
fn file(folder: &Path, pem: &[u8]) -> String {
    let path = folder.join("root.pem");
    std::fs::write(&path, pem).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let port = server.port;
    let ca = file(folder.path(), ROOT);
    let named = open(format!("webdav+https://user@localhost:{port}/dav?ca={ca}"), |_| ()).await;
    assert_eq!(named.get(&name()).await.unwrap().unwrap().0, "hi");
    let only = open(format!("webdav+https://user@localhost:{port}/dav"), |access| {
        access.http.roots = Some(ROOT.to_vec());
        access.http.only_these_roots = true;
    });
    assert_eq!(only.await.get(&name()).await.unwrap().unwrap().0, "hi");
    assert!(server.heard() > 0);
}

/// Neither the password nor the name of an object reaches who cannot show who it is.
#[tokio::test]
async fn a_server_that_cannot_show_who_it_is_gets_nothing() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let other = file(folder.path(), OTHER_ROOT);
    let (port, own) = (server.port, "webdav+https://user@localhost");
    let unknown = open(format!("{own}:{port}/dav"), |_| ()).await;
    let of_another = open(format!("{own}:{port}/dav?ca={other}"), |_| ()).await;
    let only_another = open(format!("{own}:{port}/dav"), |access| {
        access.http.roots = Some(OTHER_ROOT.to_vec());
        access.http.only_these_roots = true;
    });
    // The right authority, and a certificate for another machine.
    let of_a_neighbour = open(format!("webdav+https://user@127.0.0.1:{port}/dav"), |access| {
        access.http.roots = Some(ROOT.to_vec());
        access.http.only_these_roots = true;
    });
    for cloud in [unknown, of_another, only_another.await, of_a_neighbour.await] {
        let how = PutMode::CreateOnly;
        for error in [
            cloud.get(&name()).await.unwrap_err(),
            cloud.put(&name(), "x".into(), how).await.unwrap_err(),
        ] {
            assert!(matches!(error, CloudError::BadAddress { .. }), "{error:?}");
            let text = std::error::Error::source(&error).unwrap().to_string();
            assert!(text.contains("certificate"), "{text}");
        }
    }
    assert_eq!(server.heard(), 0, "it was told something");
}

/// The service speaks no TLS, and its proxy does. This test starts itself once more, on a system that
/// trusts the authority.
#[cfg(target_os = "linux")]
#[test]
fn a_proxy_over_tls_is_trusted_as_the_system_does_before_a_service_without_it() {
    const AGAIN: &str = "STRONGROOM_TEST_PROXY";
    if std::env::var_os(AGAIN).is_none() {
        let folder = tempfile::tempdir().unwrap();
        let this =
            "tls::a_proxy_over_tls_is_trusted_as_the_system_does_before_a_service_without_it";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(AGAIN, "1")
            .env("SSL_CERT_FILE", file(folder.path(), ROOT))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let server = Server::start();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let cloud = open("webdav+http://user@cloud.invalid/dav".to_owned(), |access| {
            access.http.proxy = Some(format!("https://localhost:{}", server.port));
        });
        assert_eq!(cloud.await.get(&name()).await.unwrap().unwrap().0, "hi");
    });
    assert!(server.heard() > 0);
}
