//! The conformance suite against real servers.
//!
//! `cargo xtask servers` starts them and says in the file that `STRONGROOM_SERVERS` names where they
//! are. A server that does not run has its tests listed, and ignored. What was seen is written to
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
    sync::{Arc, Mutex},
};

use bed::{Bed, Server};
use cloud::testing::conformance::remote_laws;
use known::Outcome;
use libtest_mimic::{Arguments, Trial};

type Make = Box<dyn Fn() -> Bed + Send + Sync>;

/// For each server, what became of each law.
type Seen = BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>;

/// How often a law is tried that a server breaks at times.
const TRIES: usize = 2;

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

/// Not captured: the suite has a `main` of its own.
fn tell(what: &str) {
    let mut out = io::stdout();
    writeln!(out, "{what}").unwrap();
}

fn saw(seen: &Mutex<Seen>, server: &'static str, law: &'static str, what: &'static str) {
    seen.lock().unwrap().entry(server).or_default().insert(law, what);
}

/// What is tried besides the laws.
fn besides(
    kind: &'static known::Kind,
    server: Option<&Arc<Server>>,
    seen: &Arc<Mutex<Seen>>,
) -> Vec<Trial> {
    let (of_test, of_probe, seen) = (server.cloned(), server.cloned(), seen.clone());
    let probed = Trial::test(format!("{}::what_the_probe_says", kind.name), move || {
        let Some(server) = &of_probe else { return Ok(()) };
        let passes = more::passes_the_probe(server);
        let said = passes.map_or("no answer", |passes| if passes { "yes" } else { "no" });
        match kind.passes_the_probe {
            None => {
                tell(&format!("{}: the probe says {said}", kind.name));
                saw(&seen, kind.name, "the_probe", "not always");
            }
            expected if expected == passes => saw(&seen, kind.name, "the_probe", said),
            _ => return Err(format!("it said {said}").into()),
        }
        Ok(())
    });
    let paged = kind.has_pages.then(|| {
        let name = format!("{}::a_listing_of_several_pages_is_complete", kind.name);
        Trial::test(name, move || {
            if let Some(server) = &of_test {
                more::a_listing_of_several_pages_is_complete(server);
            }
            Ok(())
        })
    });
    let trials = [probed].into_iter().chain(paged);
    trials.map(|trial| trial.with_ignored_flag(server.is_none())).collect()
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
            let seen = seen.clone();
            let trial = Trial::test(format!("{}::{law}", kind.name), move || {
                let Some(server) = of_law.clone() else { return Ok(()) };
                let of_bed = server.clone();
                let make: Make = Box::new(move || Bed::new(&of_bed));
                match expected {
                    Outcome::Breaks(why) => {
                        saw(&seen, kind.name, law, "no");
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
                        saw(&seen, kind.name, law, "yes");
                    }
                }
                Ok(())
            });
            trials.push(trial.with_ignored_flag(server.is_none()));
        }
        trials.extend(besides(kind, server.as_ref(), &seen));
    }
    let openssh = running.get("openssh").cloned().map(Arc::new);
    trials.extend(sign_in::trials(openssh.as_ref()));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let all_ran = conclusion.num_failed == 0 && conclusion.num_filtered_out == 0;
    if let Some(path) = env::var_os("STRONGROOM_SEEN").filter(|_| all_ran) {
        // After all others and one by one: what some of them break is not only their own.
        for (name, law, check, server) in varying {
            let make: Make = Box::new(move || Bed::new(&server));
            let held = (0..TRIES).filter(|_| !breaks(|| check(&make))).count();
            tell(&format!("{name}::{law} held {held} times of {TRIES}"));
            saw(&seen, name, law, "not always");
        }
        fs::write(path, serde_json::to_string(&*seen.lock().unwrap()).unwrap()).unwrap();
    }
    conclusion.exit_code()
}
