//! `cloud add` where the cloud fails: what is said, and what holds nevertheless.

use std::{
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use cloud::testing::{FakeAnswer, FakeBucket, FakeRequest, FakeServer};

use crate::common::{Home, failed, text};

type Failing = Box<dyn Fn(&[String], &FakeRequest) -> Option<u16> + Send>;

/// A bucket in this process, with the paths of what was put into it, and what of it fails.
struct Bucket {
    server: FakeServer,
    /// Serves while the program runs beside this process.
    _runtime: tokio::runtime::Runtime,
    state: Arc<Mutex<(Vec<String>, Failing)>>,
}

impl Bucket {
    fn new(failing: impl Fn(&[String], &FakeRequest) -> Option<u16> + Send + 'static) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let bucket = FakeBucket::new(1000);
        let state: Arc<Mutex<(Vec<String>, Failing)>> =
            Arc::new(Mutex::new((Vec::new(), Box::new(failing))));
        let of_server = state.clone();
        let server = runtime.block_on(async {
            FakeServer::start(move |request| {
                let mut state = of_server.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(status) = (state.1)(&state.0, &request) {
                    return FakeAnswer::new(status).body("the cloud has had enough");
                }
                state.0.extend(put_of_wallet(&request));
                bucket.answer(&request)
            })
        });
        Self { server: server.unwrap(), _runtime: runtime, state }
    }

    fn url(&self) -> String {
        let at = self.server.address();
        format!("gs://{}/wallet?endpoint=http://{at}", FakeBucket::NAME)
    }

    /// Nothing fails any more.
    fn mend(&self) {
        self.state.lock().unwrap().1 = Box::new(|_, _| None);
    }

    /// What was put of the wallet.
    fn put(&self) -> Vec<String> {
        self.state.lock().unwrap().0.clone()
    }

    /// The program, with what it needs to be let in.
    fn command(&self, home: &Home, args: &[&str]) -> Command {
        let mut command = home.command(args);
        command.env("GOOGLE_BEARER_TOKEN", FakeBucket::TOKEN);
        command
    }

    fn ok(&self, home: &Home, args: &[&str]) -> String {
        let output = self.command(home, args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

fn backed_up() -> Home {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    // What has a single writer, so that there is something to fence.
    home.file("state", "1");
    home.ok(&["kv", "put", "channels", "", "state", "state"]);
    home.ok(&["backup", "now"]);
    home
}

/// The wallet is as it was, and backs up to where it did.
fn is_as_before(home: &Home, digest: &str) {
    assert_eq!(home.digest(), digest);
    let clouds = home.json(&["cloud", "list"]);
    assert_eq!(clouds.len(), 1, "{clouds:?}");
    home.ok(&["backup", "now"]);
    home.ok(&["verify", "--cloud"]);
}

/// The path of an object of the wallet that is put.
fn put_of_wallet(request: &FakeRequest) -> Option<String> {
    Some(request.decoded_path()).filter(|path| request.method == "PUT" && path.contains("/sr1/"))
}

fn is_head(path: &str) -> bool {
    path.contains("/h/")
}

#[test]
fn a_cloud_that_does_not_answer_is_not_added_and_that_is_said_at_once() {
    let home = backed_up();
    let digest = home.digest();
    // Nobody listens there.
    let said = home.fails(9, &["cloud", "add", "webdav+http://127.0.0.1:9/dav"]);
    assert!(said.contains("was not added: the cloud failed: cloud is unreachable"), "{said}");
    assert!(said.contains("nothing has changed here"), "{said}");
    is_as_before(&home, &digest);
    for (status, code, reason) in [(503, 9, "unreachable"), (403, 9, "refused access")] {
        let bucket = Bucket::new(move |_, _| Some(status));
        let said = failed(code, &mut bucket.command(&home, &["cloud", "add", &bucket.url()]));
        assert!(said.contains("was not added") && said.contains(reason), "{said}");
        assert!(said.contains("had enough") && !said.contains(FakeBucket::TOKEN), "{said}");
        assert!(bucket.put().is_empty());
        is_as_before(&home, &digest);
    }
}

#[test]
fn a_cloud_that_fails_while_it_is_filled_is_not_added_and_the_next_try_goes_on() {
    let home = backed_up();
    let digest = home.digest();
    let bucket = Bucket::new(|put, request| {
        (put_of_wallet(request).is_some() && !put.is_empty()).then_some(507)
    });
    let said = failed(8, &mut bucket.command(&home, &["cloud", "add", &bucket.url()]));
    assert!(said.contains("was not added: the cloud failed: cloud is full"), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    let first = bucket.put();
    assert!(first.len() == 1 && !is_head(&first[0]), "{first:?}");
    is_as_before(&home, &digest);

    bucket.mend();
    let told = bucket.ok(&home, &["cloud", "add", &bucket.url()]);
    assert!(told.starts_with("added gs:"), "{told}");
    let all = bucket.put();
    assert!(!all[1..].contains(&first[0]), "what was there is not put again: {all:?}");
    comes_back(&home, &bucket, &digest);
}

#[test]
fn a_cloud_that_fails_once_it_was_added_is_said_to_be_added_and_not_backed_up_to() {
    let home = backed_up();
    let digest = home.digest();
    // The fencing head comes last, with the backup that follows.
    let bucket = Bucket::new(|put, request| {
        let is_late = put.iter().any(|path| is_head(path));
        put_of_wallet(request).filter(|path| is_late && !is_head(path)).map(|_| 507)
    });
    let said = failed(8, &mut bucket.command(&home, &["cloud", "add", &bucket.url()]));
    assert!(said.contains("was added, but not everything is backed up to it"), "{said}");
    assert!(said.contains("`strongroom backup now` goes on"), "{said}");
    assert_eq!(home.json(&["cloud", "list"]).len(), 2);
    assert_eq!(home.digest(), digest);

    bucket.mend();
    bucket.ok(&home, &["backup", "now"]);
    comes_back(&home, &bucket, &digest);
}

/// From this cloud alone.
fn comes_back(home: &Home, bucket: &Bucket, digest: &str) {
    bucket.ok(home, &["backup", "now"]);
    home.lose_the_device();
    std::fs::remove_dir_all(home.path("cloud")).unwrap();
    bucket.ok(home, &["restore", "--cloud", &bucket.url()]);
    assert_eq!(home.digest(), digest);
}
