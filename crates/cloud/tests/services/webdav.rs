//! What WebDAV is asked for, where real servers differ in what they do with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cloud::{
    CloudBackend, CloudError, ObjectName, Probe, PutMode, Tag,
    testing::{FakeAnswer, FakeRequest, FakeServer},
};

use crate::bed::open;

/// A server with one file, which answers a `MOVE` with these, one after the other.
struct Server {
    file: &'static str,
    etag: Option<&'static str>,
    /// What the next looks show instead, the last first.
    etags: Vec<&'static str>,
    moves: Vec<(u16, &'static str)>,
    moved: Vec<FakeRequest>,
}

impl Server {
    fn answer(&mut self, request: FakeRequest) -> FakeAnswer {
        match request.method.as_str() {
            "GET" => {
                let answer = FakeAnswer::new(200).body(self.file);
                match self.etags.pop().or(self.etag) {
                    Some(etag) => answer.header("etag", etag),
                    None => answer,
                }
            }
            "MOVE" => {
                let (status, next) = self.moves.remove(0);
                self.moved.push(request);
                self.file = next;
                FakeAnswer::new(status)
            }
            _ => FakeAnswer::new(201),
        }
    }
}

/// The cloud over such a server, and the server. `moves`: each with what is there afterwards.
fn served(
    moves: &[(u16, &'static str)],
) -> (FakeServer, Arc<Mutex<Server>>, Arc<dyn CloudBackend>) {
    let moves = moves.to_vec();
    let (etag, etags, moved) = (Some("\"of-old\""), Vec::new(), Vec::new());
    let server = Server { file: "old", etag, etags, moves, moved };
    let server = Arc::new(Mutex::new(server));
    let of_fake = server.clone();
    let fake = FakeServer::start(move |request| of_fake.lock().unwrap().answer(request)).unwrap();
    let cloud = open(&format!("webdav+http://{}/dav", fake.address()), BTreeMap::new());
    (fake, server, cloud)
}

fn name() -> ObjectName {
    ObjectName::new("a/b").unwrap()
}

async fn tag_of_old(cloud: &dyn CloudBackend) -> Tag {
    cloud.get(&name()).await.unwrap().unwrap().1
}

#[tokio::test]
async fn a_creation_asks_that_nothing_be_overwritten() {
    let (_fake, server, cloud) = served(&[(201, "new"), (412, "old")]);
    cloud.put(&name(), "new".into(), PutMode::CreateOnly).await.unwrap();
    let refused = cloud.put(&name(), "new".into(), PutMode::CreateOnly).await;
    assert!(matches!(refused, Err(CloudError::Conflict { .. })), "{refused:?}");
    for moved in &server.lock().unwrap().moved {
        assert_eq!(moved.header("overwrite"), Some("F"));
    }
}

#[tokio::test]
async fn a_replacement_names_the_etag_of_what_it_replaces() {
    let (_fake, server, cloud) = served(&[(204, "new")]);
    let tag = tag_of_old(&*cloud).await;
    cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await.unwrap();
    let moved = server.lock().unwrap().moved.remove(0);
    assert_eq!(moved.header("overwrite"), Some("T"));
    let condition = moved.header("if").unwrap();
    assert!(condition.ends_with("/dav/a/b> ([\"of-old\"])"), "{condition}");
}

#[tokio::test]
async fn what_changed_between_the_look_and_the_move_is_not_replaced() {
    // Another writer was faster: the condition fails, and what is there is theirs.
    let (_fake, server, cloud) = served(&[(412, "theirs")]);
    let tag = tag_of_old(&*cloud).await;
    let refused = cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await;
    assert!(matches!(refused, Err(CloudError::Conflict { .. })), "{refused:?}");
    assert_eq!(server.lock().unwrap().moved.len(), 1);
}

/// Between our own look and a move without a condition another may write, and that would be lost.
#[tokio::test]
async fn a_server_that_refuses_every_condition_is_not_asked_without_one() {
    let (_fake, server, cloud) = served(&[(412, "old"), (204, "new")]);
    let tag = tag_of_old(&*cloud).await;
    let refused = cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await;
    assert!(matches!(refused, Err(CloudError::TooOld { .. })), "{refused:?}");
    let text = std::error::Error::source(&refused.unwrap_err()).unwrap().to_string();
    assert!(text.contains("second writer"), "{text}");
    let server = server.lock().unwrap();
    assert_eq!(server.file, "old", "it was replaced");
    assert!(server.moved.iter().all(|moved| moved.header("if").is_some()));
}

#[tokio::test]
async fn a_server_that_says_it_knows_no_condition_is_not_asked_without_one() {
    for status in [400, 403, 405, 501] {
        let (_fake, server, cloud) = served(&[(status, "old"), (204, "new")]);
        let tag = tag_of_old(&*cloud).await;
        cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await.unwrap_err();
        assert_eq!(server.lock().unwrap().file, "old", "{status}: it was replaced");
    }
}

/// Apache gives a file a weak ETag for a second, which no condition can name.
#[tokio::test]
async fn a_weak_etag_is_not_named_and_a_strong_one_is_waited_for() {
    let (_fake, server, cloud) = served(&[(204, "new")]);
    let tag = tag_of_old(&*cloud).await;
    server.lock().unwrap().etag = Some("W/\"of-old\"");
    let later = server.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        later.lock().unwrap().etag = Some("\"of-old\"");
    });
    cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await.unwrap();
    let moved = server.lock().unwrap().moved.remove(0);
    assert!(moved.header("if").unwrap().ends_with("([\"of-old\"])"));
    assert_eq!(cloud.limits().can_honour, Probe::ALL);
}

/// The same bytes under another ETag are what they were: the next condition names that one.
#[tokio::test]
async fn an_etag_that_changed_alone_is_named_anew() {
    let (_fake, server, cloud) = served(&[(412, "old"), (204, "new")]);
    let tag = tag_of_old(&*cloud).await;
    server.lock().unwrap().etags = vec!["\"touched\"", "\"of-old\""];
    cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await.unwrap();
    let moved = std::mem::take(&mut server.lock().unwrap().moved);
    assert_eq!(moved.len(), 2);
    assert!(moved.iter().all(|moved| moved.header("if").is_some()));
    assert_eq!(cloud.limits().can_honour, Probe::ALL);
}

#[tokio::test]
async fn a_server_that_compares_no_etag_is_not_taken_for_one_that_does() {
    let (_fake, _, honest) = served(&[(204, "new")]);
    let tag = tag_of_old(&*honest).await;
    honest.put(&name(), "new".into(), PutMode::Replace(tag)).await.unwrap();
    assert_eq!(honest.limits().can_honour, Probe::ALL);
    let (_fake, _, refuses) = served(&[(412, "old"), (204, "new")]);
    let (_other, without, no_etag) = served(&[(204, "new")]);
    without.lock().unwrap().etag = None;
    for cloud in [refuses, no_etag] {
        let tag = tag_of_old(&*cloud).await;
        cloud.put(&name(), "new".into(), PutMode::Replace(tag)).await.unwrap_err();
        assert_eq!(cloud.limits().can_honour, Probe::CREATES_ONCE);
    }
}
