//! A node of IPFS: what its file system is left with.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use cloud::{
    CloudBackend, ObjectName, PutMode, poll_backups,
    testing::{FakeAnswer, FakeRequest, FakeServer},
};
use serde_json::json;

use crate::bed::open;

const DAY: u64 = 24 * 3600;

/// The file system of a node: paths, and the hashes of their bytes.
#[derive(Default)]
struct Node {
    files: BTreeMap<String, String>,
    /// How many bytes were added so far; the hash of the last.
    added: usize,
    /// How many moves still fail.
    failing_moves: usize,
}

impl Node {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        let path = request.parameter("arg").unwrap_or_default();
        // The second of two.
        let to = request.query.split('&').filter_map(|pair| pair.strip_prefix("arg=")).nth(1);
        let to = to.unwrap_or_default().replace("%2F", "/");
        let done = || FakeAnswer::new(200);
        let fails = |why: &str| FakeAnswer::new(500).body(json!({ "Message": why }).to_string());
        match request.path.strip_prefix("/api/v0/").unwrap() {
            "add" => {
                self.added += 1;
                let hash = format!("bafy{}", self.added);
                done().body(json!({ "Hash": hash }).to_string())
            }
            "files/cp" if self.files.contains_key(&to) => fails("directory already has entry"),
            "files/cp" => {
                self.files.insert(to, path.replace("/ipfs/", ""));
                done()
            }
            "files/mv" if self.failing_moves > 0 => {
                self.failing_moves -= 1;
                fails("told to")
            }
            "files/mv" => match self.files.remove(&path) {
                Some(hash) => {
                    self.files.insert(to, hash);
                    done()
                }
                None => fails("file does not exist"),
            },
            "files/rm" => match self.files.remove(&path) {
                Some(_) => done(),
                None => fails("file does not exist"),
            },
            "files/stat" => match self.files.get(&path) {
                Some(hash) => {
                    done().body(json!({"Hash": hash, "Size": 1, "Type": "file"}).to_string())
                }
                None if self.below(&path).next().is_some() => {
                    done().body(json!({"Hash": "dir", "Size": 0, "Type": "directory"}).to_string())
                }
                None => fails("file does not exist"),
            },
            "files/ls" => {
                let entry = |name: &str| json!({"Name": name, "Type": 0, "Size": 1});
                let entries: Vec<_> = self.below(&path).map(entry).collect();
                done().body(json!({ "Entries": entries }).to_string())
            }
            _ => done(),
        }
    }

    /// The names of the files in a folder.
    fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a str> {
        let folder = format!("{folder}/");
        self.files.keys().filter_map(move |path| path.strip_prefix(&folder))
    }

    /// What is in the folder for what is being put.
    fn left(&self) -> Vec<String> {
        self.below("/x/.strongroom").map(str::to_owned).collect()
    }
}

struct Bed {
    node: Arc<Mutex<Node>>,
    server: FakeServer,
}

impl Bed {
    fn new() -> Self {
        let node = Arc::<Mutex<Node>>::default();
        let serves = node.clone();
        let server = FakeServer::start(move |request| serves.lock().unwrap().answer(&request));
        Self { node, server: server.unwrap() }
    }

    fn cloud(&self) -> Arc<dyn CloudBackend> {
        open(&format!("ipfs+http://{}/x", self.server.address()), BTreeMap::new())
    }
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// A node keeps no times: the name says when it was given.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "names of leftovers are as old as this clock says")]
async fn old_leftovers_of_others_are_swept_and_young_ones_are_not() {
    let bed = Bed::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let old = format!("incoming-{}-0123", now - 2 * DAY);
    let young = format!("incoming-{}-0123", now - DAY / 2);
    let ahead = format!("incoming-{}-0123", now + 2 * DAY);
    let others = ["incoming-some-day", "incoming-0123456789abcdef", "notes"].map(str::to_owned);
    for left in [&old, &young, &ahead].into_iter().chain(&others) {
        let path = format!("/x/.strongroom/{left}");
        bed.node.lock().unwrap().files.insert(path, "bafy".to_owned());
    }
    let cloud = bed.cloud();
    cloud.put(&name("a/b"), "x".into(), PutMode::Overwrite).await.unwrap();
    let left = bed.node.lock().unwrap().left();
    assert!(!left.contains(&old), "{left:?}");
    assert_eq!(left.len(), 5, "{left:?}");
    let found = poll_backups(&*cloud, &name("a")).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn what_a_broken_put_has_left_goes_with_the_next_one() {
    let bed = Bed::new();
    let cloud = bed.cloud();
    bed.node.lock().unwrap().failing_moves = 1;
    cloud.put(&name("a/b"), "x".into(), PutMode::Overwrite).await.unwrap_err();
    assert_eq!(bed.node.lock().unwrap().left().len(), 1);
    cloud.put(&name("a/c"), "y".into(), PutMode::Overwrite).await.unwrap();
    assert!(bed.node.lock().unwrap().left().is_empty());
}
