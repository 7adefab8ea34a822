//! What a service sends without an end fills no memory and keeps nobody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cloud::{
    Access, CloudBackend, CloudError, CloudIdentity, CloudUrl, ObjectName, PutMode, Secrets,
    open_cloud_with,
    testing::{FakeAnswer, FakeServer},
};
use serde_json::json;

use crate::bed::open;

const VARIABLES: [(&str, &str); 7] = [
    ("STRONGROOM_VSS_TOKEN", "token"),
    ("AWS_ACCESS_KEY_ID", "key"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("GOOGLE_BEARER_TOKEN", "token"),
    ("AZURE_STORAGE_KEY", "a2V5"),
    ("STRONGROOM_DROPBOX_TOKEN", "token"),
    ("STRONGROOM_GDRIVE_TOKEN", "token"),
];

fn at(url: &str, server: &FakeServer) -> Arc<dyn CloudBackend> {
    let variables = VARIABLES.map(|(name, value)| (name, value.to_owned()));
    open(&url.replace("{server}", &server.address().to_string()), BTreeMap::from(variables))
}

fn name() -> ObjectName {
    ObjectName::new("a/b").unwrap()
}

fn assert_transient<T: std::fmt::Debug>(url: &str, outcome: Result<T, CloudError>) {
    assert!(outcome.as_ref().is_err_and(CloudError::is_transient), "{url}: {outcome:?}");
}

/// A page of a network that has one picture after the other; or a server that fills our memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_end_is_an_error() {
    let chunk = vec![b'x'; 1 << 20];
    let server = FakeServer::start(move |_| FakeAnswer::new(200).body(chunk.clone()).endlessly());
    let server = server.unwrap();
    for url in [
        "webdav+http://{server}/dav",
        "s3://bucket?endpoint=http://{server}",
        "dropbox:/x?endpoint=http://{server}",
        "gdrive:x?endpoint=http://{server}",
        "ipfs+http://{server}/x",
    ] {
        let cloud = at(url, &server);
        let all = async {
            assert_transient(url, cloud.get(&name()).await);
        };
        let ended = tokio::time::timeout(Duration::from_secs(120), all).await;
        assert!(ended.is_ok(), "{url} reads on and on");
    }
}

/// An error's text is short, whatever it is about.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_without_an_end_is_read_no_further_than_one_may_be_long() {
    let chunk = vec![b'x'; 1 << 20];
    let server = FakeServer::start(move |_| FakeAnswer::new(403).body(chunk.clone()).endlessly());
    let server = server.unwrap();
    let error = at("webdav+http://{server}/dav", &server).get(&name()).await.unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(text, "the answer is longer than 16777216 bytes");
}

/// More files than anybody can list stay too many: nobody tries again for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_too_many_files_is_told_as_such() {
    let chunk = vec![b'x'; 1 << 20];
    let server = FakeServer::start(move |_| FakeAnswer::new(207).body(chunk.clone()).endlessly());
    let server = server.unwrap();
    let cloud = at("webdav+http://{server}/dav", &server);
    let error = cloud.list(&ObjectName::new("a").unwrap(), None).await.unwrap_err();
    assert!(matches!(error, CloudError::TooOld { .. }), "{error:?}");
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("new folder"), "{text}");
}

/// A listing whose next page is always the same one, or always another one that says nothing.
#[tokio::test]
async fn a_listing_that_turns_in_a_circle_is_an_error() {
    let pages = Arc::new(AtomicUsize::new(0));
    let count = pages.clone();
    let server = FakeServer::start(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        let body = match request.path.as_str() {
            "/drive/v3/files" => json!({"files": [], "nextPageToken": "again"}),
            _ => json!({"entries": [], "cursor": "again", "has_more": true}),
        };
        FakeAnswer::new(200).body(body.to_string())
    });
    let server = server.unwrap();
    for url in ["dropbox:/x?endpoint=http://{server}", "gdrive:x?endpoint=http://{server}"] {
        assert_transient(url, at(url, &server).list(&name(), None).await);
    }
    // In the messages of VSS: `next_page_token` is the second field.
    let vss = FakeServer::start(|_| {
        FakeAnswer::new(200).header("vss-protocol-version", "0").body(&b"\x12\x05again"[..])
    });
    let vss = vss.unwrap();
    let mut access = Access::default();
    access.secrets = Secrets::new(|_| None);
    access.identity = Some(CloudIdentity::new(&[7; 32]));
    let url = CloudUrl::parse(&format!("vss+http://{}/vss", vss.address())).unwrap();
    let cloud = open_cloud_with(&url, &access).await.unwrap();
    assert_transient("vss", cloud.list(&name(), None).await);
    assert!(pages.load(Ordering::Relaxed) <= 4);
}

/// Also by a proxy before the service, and where it is said in words.
#[tokio::test]
async fn a_service_without_room_is_told_as_such() {
    let words = json!({"Message": "write: no space left on device", "Code": 0, "Type": "error"});
    for (url, status, body) in [
        ("gs://bucket?endpoint=http://{server}", 403, "<Code>QuotaExceeded</Code>".to_owned()),
        ("gs://bucket?endpoint=http://{server}", 507, String::new()),
        ("az://container?account=me&endpoint=http://{server}", 507, String::new()),
        ("vss+http://{server}/vss", 507, String::new()),
        ("ipfs+http://{server}/x", 500, words.to_string()),
    ] {
        let server = FakeServer::start(move |_| FakeAnswer::new(status).body(body.clone()));
        let server = server.unwrap();
        let put = at(url, &server).put(&name(), "x".into(), PutMode::CreateOnly).await;
        assert!(matches!(put, Err(CloudError::Full { .. })), "{url}: {put:?}");
    }
}
