//! A WebDAV server with files, whose answers can be set: what is stored, and what is only said to be.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, ObjectName, PutMode, poll_backups,
    testing::{FakeAnswer, FakeRequest, FakeServer, Line, Trouble},
};

use crate::bed::open;

const TODAY: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const A_WEEK_AGO: &str = "Wed, 14 Oct 2015 07:28:00 GMT";
const THIS_MORNING: &str = "Wed, 21 Oct 2015 01:02:03 GMT";

#[derive(Default)]
struct Files {
    /// By path, with the time of the last change.
    files: BTreeMap<String, (Bytes, &'static str)>,
    /// What the next requests of a method are answered, and whether they are done.
    instead: BTreeMap<&'static str, (u16, bool)>,
    /// So many blanks go with each file of a list.
    blanks: usize,
}

impl Files {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        let instead = self.instead.get(&*request.method).copied();
        let page =
            |status| FakeAnswer::new(status).header("content-type", "text/html").body("page");
        let answer = match instead {
            Some((status, false)) => return page(status),
            _ => self.act(request),
        };
        instead.map_or(answer, |(status, _)| page(status))
    }

    fn act(&mut self, request: &FakeRequest) -> FakeAnswer {
        let path = request.decoded_path();
        match request.method.as_str() {
            "GET" => match self.files.get(&path) {
                Some((bytes, _)) => FakeAnswer::new(200).body(bytes.clone()),
                None => FakeAnswer::new(404),
            },
            "PUT" => {
                self.files.insert(path, (request.body.clone(), TODAY));
                FakeAnswer::new(201)
            }
            "MOVE" => {
                let to = request.header("destination").unwrap().split_once("/dav").unwrap().1;
                let to = format!("/dav{to}");
                if request.header("overwrite") == Some("F") && self.files.contains_key(&to) {
                    return FakeAnswer::new(412);
                }
                let moved = self.files.remove(&path).unwrap();
                self.files.insert(to, moved);
                FakeAnswer::new(201)
            }
            "DELETE" => match self.files.remove(&path) {
                Some(_) => FakeAnswer::new(204),
                None => FakeAnswer::new(404),
            },
            "MKCOL" => FakeAnswer::new(405),
            "PROPFIND" => self.list(&path, request.header("depth") == Some("1")),
            other => panic!("{other}"),
        }
    }

    fn list(&self, path: &str, below: bool) -> FakeAnswer {
        let begin = format!("{}/", path.trim_end_matches('/'));
        let in_it = || self.files.iter().filter(|(name, _)| name.starts_with(&begin));
        let mut text = match self.files.get(path) {
            Some((bytes, time)) => entry(path, Some(bytes.len()), time),
            // Our own folder stays, also when it is empty.
            None if in_it().next().is_none() && path != "/dav/.strongroom" => {
                return FakeAnswer::new(404);
            }
            None => entry(path, None, TODAY),
        };
        if below {
            for (name, (bytes, time)) in in_it() {
                text += &entry(name, Some(bytes.len()), time);
                text += &" ".repeat(self.blanks);
            }
        }
        FakeAnswer::new(207).body(format!("<multistatus xmlns=\"DAV:\">{text}</multistatus>"))
    }

    fn left(&self) -> Vec<&str> {
        let names = self.files.keys().filter(|name| name.contains("incoming-"));
        names.map(|name| name.rsplit('/').next().unwrap()).collect()
    }
}

fn entry(path: &str, size: Option<usize>, time: &str) -> String {
    let kind = if size.is_none() { "<collection/>" } else { "" };
    let size = size.map(|size| format!("<getcontentlength>{size}</getcontentlength>"));
    format!(
        "<response><href>{path}</href><propstat><prop><resourcetype>{kind}</resourcetype>{}\
         <getlastmodified>{time}</getlastmodified></prop></propstat></response>",
        size.unwrap_or_default()
    )
}

struct Bed {
    _server: FakeServer,
    files: Arc<Mutex<Files>>,
    line: Line,
    cloud: Arc<dyn CloudBackend>,
}

impl Bed {
    fn new() -> Self {
        let files: Arc<Mutex<Files>> = Arc::default();
        let of_fake = files.clone();
        let server = FakeServer::start(move |request| of_fake.lock().unwrap().answer(&request));
        let server = server.unwrap();
        let line = Line::to(server.address()).unwrap();
        let cloud = open(&format!("webdav+http://{}/dav", line.address()), BTreeMap::new());
        Self { _server: server, files, line, cloud }
    }

    /// What requests of this method are answered from now on, and whether they are done.
    fn instead(&self, method: &'static str, status: u16, is_done: bool) {
        self.files.lock().unwrap().instead = BTreeMap::from([(method, (status, is_done))]);
    }

    async fn put(&self, object: &str) -> Result<(), CloudError> {
        let name = ObjectName::new(object).unwrap();
        self.cloud.put(&name, "twelve bytes".into(), PutMode::CreateOnly).await.map(drop)
    }

    async fn has(&self, object: &str) -> bool {
        self.cloud.get(&ObjectName::new(object).unwrap()).await.unwrap().is_some()
    }
}

/// Behind a page that asks to sign in every request is answered 200. So is many a request by a
/// server that does as it is told.
#[tokio::test]
async fn what_is_said_to_be_stored_in_an_odd_way_is_looked_up() {
    for (n, status) in [200, 202, 206, 207].into_iter().enumerate() {
        for method in ["PUT", "MOVE"] {
            let (bed, object) = (Bed::new(), format!("a/{n}"));
            bed.instead(method, status, false);
            let put = bed.put(&object).await;
            assert!(put.as_ref().is_err_and(CloudError::is_transient), "{method}: {put:?}");
            assert!(!bed.has(&object).await);
            if (method, status) == ("MOVE", 207) {
                // There it is the list of what was not moved.
                continue;
            }
            bed.instead(method, status, true);
            bed.put(&object).await.unwrap();
            assert!(bed.has(&object).await, "{method} {status}");
        }
    }
}

#[tokio::test]
async fn what_is_said_to_be_deleted_in_an_odd_way_is_looked_up() {
    for status in [200, 202, 207] {
        let (bed, name) = (Bed::new(), ObjectName::new("a/b").unwrap());
        bed.put("a/b").await.unwrap();
        bed.instead("DELETE", status, false);
        let deleted = bed.cloud.delete(&name).await;
        assert!(deleted.as_ref().is_err_and(CloudError::is_transient), "{status}: {deleted:?}");
        assert!(bed.has("a/b").await);
        if status != 207 {
            bed.instead("DELETE", status, true);
            bed.cloud.delete(&name).await.unwrap();
            assert!(!bed.has("a/b").await);
        }
    }
}

/// A file of the right size at its place shows nothing as long as it has not been moved there.
#[tokio::test]
async fn an_object_that_was_there_before_does_not_pass_for_the_new_one() {
    let bed = Bed::new();
    bed.put("a/b").await.unwrap();
    bed.instead("MOVE", 200, false);
    let name = ObjectName::new("a/b").unwrap();
    let put = bed.cloud.put(&name, "other bytes!".into(), PutMode::Overwrite).await;
    assert!(put.as_ref().is_err_and(CloudError::is_transient), "{put:?}");
}

#[tokio::test]
async fn a_put_that_fails_leaves_nothing() {
    for (method, status) in [("PUT", 507), ("MOVE", 500), ("MOVE", 412)] {
        let bed = Bed::new();
        // Some servers keep what they complain about.
        bed.instead(method, status, method == "PUT");
        bed.put("a/b").await.unwrap_err();
        assert!(bed.files.lock().unwrap().left().is_empty(), "{method} {status}");
    }
}

/// Without an answer nothing can be removed: the next put does it.
#[tokio::test]
async fn what_a_broken_put_has_left_goes_with_the_next_one() {
    let bed = Bed::new();
    // From here on it knows that the folders are there.
    bed.put("a/c").await.unwrap();
    bed.line.set(Trouble::LosesAnswers);
    bed.put("a/b").await.unwrap_err();
    assert_eq!(bed.files.lock().unwrap().left().len(), 1, "nothing was tested");
    bed.line.mend();
    bed.put("a/d").await.unwrap();
    assert!(bed.files.lock().unwrap().left().is_empty());
    assert!(bed.has("a/c").await && bed.has("a/d").await);
}

/// Dropped at any moment, a put leaves nothing that the next one does not find.
#[tokio::test]
async fn what_a_dropped_put_has_left_goes_with_the_next_one() {
    let bed = Bed::new();
    bed.put("a/b").await.unwrap();
    bed.line.set(Trouble::Far(Duration::from_secs(3600)));
    let landed = async {
        while bed.files.lock().unwrap().left().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        put = bed.put("a/c") => panic!("{put:?}"),
        () = landed => {}
    }
    bed.line.mend();
    bed.put("a/d").await.unwrap();
    assert!(bed.files.lock().unwrap().left().is_empty());
}

/// What a process has left that is no more: once it is old by the server's own clock.
#[tokio::test]
async fn old_leftovers_of_others_are_swept_and_young_ones_are_not() {
    let bed = Bed::new();
    for (name, time) in [
        ("incoming-old", A_WEEK_AGO),
        ("incoming-young", THIS_MORNING),
        ("incoming-timeless", "some day"),
        ("notes", A_WEEK_AGO),
    ] {
        let path = format!("/dav/.strongroom/{name}");
        bed.files.lock().unwrap().files.insert(path, ("x".into(), time));
    }
    bed.put("a/b").await.unwrap();
    assert_eq!(bed.files.lock().unwrap().left(), ["incoming-timeless", "incoming-young"]);
    assert!(bed.files.lock().unwrap().files.contains_key("/dav/.strongroom/notes"));
    let found = poll_backups(&*bed.cloud, &ObjectName::new("a").unwrap()).await.unwrap();
    assert_eq!(found.len(), 1);
}

/// Nextcloud writes some six hundred bytes to a file, others more: the list of many is long.
#[tokio::test]
async fn a_folder_whose_list_is_long_can_be_listed() {
    let bed = Bed::new();
    {
        let mut files = bed.files.lock().unwrap();
        files.blanks = 2_000;
        for n in 0..9_000 {
            files.files.insert(format!("/dav/a/{n:06}"), ("x".into(), TODAY));
        }
    }
    let found = poll_backups(&*bed.cloud, &ObjectName::new("a").unwrap()).await.unwrap();
    assert_eq!(found.len(), 9_000);
}
