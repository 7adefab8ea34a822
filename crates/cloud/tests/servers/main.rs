//! The conformance suite against real servers.
//!
//! `cargo xtask servers` starts them and says in the file that `STRONGROOM_SERVERS` names where they
//! are. A server that does not run has its tests listed, and ignored. What was seen is noted in
//! the file that `STRONGROOM_SEEN` names; the book's table is made of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod bed;
mod known;
mod more;
mod sign_in;

use std::{
    cell::Cell,
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    panic,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bed::{Bed, Server};
use cloud::testing::conformance::{breaks, remote_laws, saw, try_law};
use known::Outcome;
use libtest_mimic::{Arguments, Trial};

type Make = Box<dyn Fn() -> Bed + Send + Sync>;

/// How often a law is tried that a server breaks at times.
const TRIES: usize = 2;

thread_local! {
    /// Whether this thread runs what is known to fail: then a panic is no news.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether every thread does.
static ALL_EXPECTED: AtomicBool = AtomicBool::new(false);

/// Sets the first as long as this lives.
struct Quiet;

impl Quiet {
    fn begin() -> Self {
        EXPECTED.set(true);
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        EXPECTED.set(false);
    }
}

/// Not captured: the suite has a `main` of its own.
fn tell(what: &str) {
    let mut out = io::stdout();
    writeln!(out, "{what}").unwrap();
}

fn main() -> ExitCode {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if !EXPECTED.get() && !ALL_EXPECTED.load(Ordering::SeqCst) {
            usual(what);
        }
    }));
    let running: BTreeMap<String, Server> = match env::var("STRONGROOM_SERVERS") {
        Ok(path) => serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap(),
        Err(_) => BTreeMap::new(),
    };
    let mut trials = Vec::new();
    let mut varying = Vec::new();
    for kind in known::SERVERS {
        let server = running.get(kind.name).cloned().map(Arc::new);
        for (law, check) in remote_laws::<Bed, Make>() {
            let expected = kind.expected(law);
            if matches!(expected, Outcome::Varies(_)) {
                varying.extend(server.clone().map(|server| (kind.name, law, check, server)));
                continue;
            }
            let of_law = server.clone();
            let trial = Trial::test(format!("{}::{law}", kind.name), move || {
                let Some(server) = of_law.clone() else { return Ok(()) };
                let is_about = server.is_about(law);
                let make: Make = Box::new(move || Bed::new(&server));
                let known: Vec<_> = match expected {
                    Outcome::Breaks(why) => vec![(law, why)],
                    _ => Vec::new(),
                };
                let _quiet = (!known.is_empty()).then(Quiet::begin);
                if is_about {
                    try_law(kind.name, law, &known, || check(&make));
                } else {
                    check(&make);
                }
                Ok(())
            });
            trials.push(trial.with_ignored_flag(server.is_none()));
        }
        if kind.has_pages {
            let of_test = server.clone();
            let name = format!("{}::a_listing_of_several_pages_is_complete", kind.name);
            let trial = Trial::test(name, move || {
                if let Some(server) = &of_test {
                    more::a_listing_of_several_pages_is_complete(server);
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
    if all_ran && env::var_os("STRONGROOM_SEEN").is_some() {
        // After all others and one by one: what some of them break is not only their own.
        ALL_EXPECTED.store(true, Ordering::SeqCst);
        for (name, law, check, server) in varying {
            let make: Make = Box::new(move || Bed::new(&server));
            let held = (0..TRIES).filter(|_| !breaks(|| check(&make))).count();
            tell(&format!("{name}::{law} held {held} times of {TRIES}"));
            saw(name, law, "not always");
        }
    }
    conclusion.exit_code()
}
