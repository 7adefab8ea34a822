//! Lines that are slow and not dead: what moves gets through, however long that takes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cloud::{
    Access, CloudBackend, CloudUrl, ObjectName, Progress, PutMode, Secrets, open_cloud_with,
    testing::{FakeAnswer, FakeRequest, FakeServer, Line, Trouble},
};
use tokio::time::Instant;

/// A WebDAV server with files and nothing else, behind a line.
struct Bed {
    _server: FakeServer,
    line: Line,
    cloud: Arc<dyn CloudBackend>,
}

fn answer(files: &Mutex<BTreeMap<String, Bytes>>, request: &FakeRequest) -> FakeAnswer {
    let (mut files, path) = (files.lock().unwrap(), request.decoded_path());
    match request.method.as_str() {
        "GET" if path.ends_with("/endless") => FakeAnswer::new(200).body("x").endlessly(),
        "GET" => match files.get(&path) {
            Some(bytes) => FakeAnswer::new(200).body(bytes.clone()),
            None => FakeAnswer::new(404),
        },
        "PUT" => {
            files.insert(path, request.body.clone());
            FakeAnswer::new(201)
        }
        "MOVE" => {
            let to = request.header("destination").unwrap();
            let to = format!("/dav{}", to.split_once("/dav").unwrap().1);
            let moved = files.remove(&path).unwrap();
            files.insert(to, moved);
            FakeAnswer::new(201)
        }
        _ => FakeAnswer::new(405),
    }
}

/// `idle` and `total`: how long the client bears nothing at all, and the whole.
async fn bed(idle: u64, total: u64) -> Bed {
    let files: Arc<Mutex<BTreeMap<String, Bytes>>> = Arc::default();
    let server = FakeServer::start(move |request| answer(&files, &request)).unwrap();
    let line = Line::to(server.address()).unwrap();
    let mut access = Access::default();
    access.secrets = Secrets::new(|_| None);
    access.http.idle_timeout = Duration::from_millis(idle);
    access.http.total_timeout = Duration::from_millis(total);
    let url = CloudUrl::parse(&format!("webdav+http://{}/dav", line.address())).unwrap();
    let cloud = open_cloud_with(&url, &access).await.unwrap();
    Bed { _server: server, line, cloud }
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// The system takes the whole body at once, so nobody sees it go; and the whole takes far longer than
/// anything may that does not move.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_gets_through_a_slow_line() {
    let bed = bed(300, 400).await;
    let bytes = Bytes::from(vec![7; 200_000]);
    bed.line.set(Trouble::Narrow(100_000));
    let began = Instant::now();
    bed.cloud.put(&name("a/b"), bytes.clone(), PutMode::CreateOnly).await.unwrap();
    assert!(began.elapsed() > Duration::from_millis(1500), "the line was not slow");
    let (found, _) = bed.cloud.get(&name("a/b")).await.unwrap().unwrap();
    assert!(found == bytes);
    assert!(began.elapsed() > Duration::from_secs(3), "the line was not slow");
}

/// Bytes that come now and then, without an end, keep nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_on_which_hardly_a_byte_moves_is_dead() {
    let bed = bed(5_000, 500).await;
    bed.line.set(Trouble::Narrow(400));
    let name = name("a/endless");
    let got = tokio::time::timeout(Duration::from_secs(20), bed.cloud.get(&name)).await.unwrap();
    assert!(got.as_ref().is_err_and(cloud::CloudError::is_transient), "{got:?}");
    let text = std::error::Error::source(&got.unwrap_err()).unwrap().to_string();
    assert!(text.contains("hardly a byte"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_a_call_sees_its_bytes_move() {
    let bed = bed(5_000, 60_000).await;
    let (up, down) = (Progress::begin(), Progress::begin());
    let bytes = Bytes::from(vec![7; 20_000]);
    up.watch(bed.cloud.put(&name("a/b"), bytes, PutMode::CreateOnly)).await.unwrap();
    let sent = up.last().unwrap();
    down.watch(bed.cloud.get(&name("a/b"))).await.unwrap();
    assert!(down.last().unwrap() > sent);
    assert_eq!(up.last(), Some(sent), "it was over");
}
