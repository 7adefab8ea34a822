//! The conformance suite against real servers.
//!
//! `cargo xtask servers` starts them and says in the file that `STRONGROOM_SERVERS` names where they
//! are. A server that does not run has its tests listed, and ignored. What was seen is written to
//! the file that `STRONGROOM_SEEN` names; the book's table is made of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod bed;
mod known;
mod sign_in;

use std::{
    cell::Cell,
    collections::BTreeMap,
    env, fs, panic,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use bed::{Bed, Server};
use cloud::testing::conformance::remote_laws;
use known::Outcome;
use libtest_mimic::{Arguments, Trial};

type Make = Box<dyn Fn() -> Bed + Send + Sync>;

/// For each server, what became of each law.
type Seen = BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>;

thread_local! {
    /// Whether this thread runs what is known to fail: then a panic is no news.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a law is broken, as it is known to be; quietly.
fn breaks(check: impl FnOnce()) -> bool {
    EXPECTED.set(true);
    let broke = panic::catch_unwind(panic::AssertUnwindSafe(check)).is_err();
    EXPECTED.set(false);
    broke
}

fn main() -> ExitCode {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if !EXPECTED.get() {
            usual(what);
        }
    }));
    let running: BTreeMap<String, Server> = match env::var("STRONGROOM_SERVERS") {
        Ok(path) => serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap(),
        Err(_) => BTreeMap::new(),
    };
    let mut trials = Vec::new();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let saw = |server, law, what| {
        seen.lock().unwrap().entry(server).or_default().insert(law, what);
    };
    for kind in known::SERVERS {
        let server = running.get(kind.name).cloned().map(Arc::new);
        for (law, check) in remote_laws::<Bed, Make>() {
            let expected = kind.expected(law);
            if matches!(expected, Outcome::Varies(_)) {
                if server.is_some() {
                    saw(kind.name, law, "not always");
                }
                continue;
            }
            let of_law = server.clone();
            let seen = seen.clone();
            let trial = Trial::test(format!("{}::{law}", kind.name), move || {
                let Some(server) = of_law.clone() else { return Ok(()) };
                let of_bed = server.clone();
                let make: Make = Box::new(move || Bed::new(&of_bed));
                match expected {
                    Outcome::Breaks(why) => {
                        seen.lock().unwrap().entry(kind.name).or_default().insert(law, "no");
                        if !breaks(|| check(&make)) {
                            return Err(format!("it holds now, but was known not to: {why}").into());
                        }
                    }
                    _ => {
                        let is_about = server.is_about(law);
                        check(&make);
                        if !is_about {
                            return Ok(());
                        }
                        seen.lock().unwrap().entry(kind.name).or_default().insert(law, "yes");
                    }
                }
                Ok(())
            });
            trials.push(trial.with_ignored_flag(server.is_none()));
        }
    }
    let openssh = running.get("openssh").cloned().map(Arc::new);
    trials.extend(sign_in::trials(openssh.as_ref()));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let all_ran = conclusion.num_failed == 0 && conclusion.num_filtered_out == 0;
    if let Some(path) = env::var_os("STRONGROOM_SEEN").filter(|_| all_ran) {
        fs::write(path, serde_json::to_string(&*seen.lock().unwrap()).unwrap()).unwrap();
    }
    conclusion.exit_code()
}
