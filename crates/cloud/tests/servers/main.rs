//! The conformance suite against real servers.
//!
//! `cargo xtask servers` starts them and says in the file that `STRONGROOM_SERVERS` names where they
//! are. A server that does not run has its tests listed, and ignored.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod bed;
mod known;

use std::{collections::BTreeMap, env, fs, panic, process::ExitCode, sync::Arc};

use bed::{Bed, Server};
use cloud::testing::conformance::remote_laws;
use known::Outcome;
use libtest_mimic::{Arguments, Trial};

type Make = Box<dyn Fn() -> Bed + Send + Sync>;

fn main() -> ExitCode {
    let running: BTreeMap<String, Server> = match env::var("STRONGROOM_SERVERS") {
        Ok(path) => serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap(),
        Err(_) => BTreeMap::new(),
    };
    let mut trials = Vec::new();
    for kind in known::SERVERS {
        let server = running.get(kind.name).cloned().map(Arc::new);
        for (law, check) in remote_laws::<Bed, Make>() {
            let expected = kind.expected(law);
            if matches!(expected, Outcome::Varies(_)) {
                continue;
            }
            let of_law = server.clone();
            let trial = Trial::test(format!("{}::{law}", kind.name), move || {
                let Some(server) = of_law.clone() else { return Ok(()) };
                let make: Make = Box::new(move || Bed::new(&server));
                match expected {
                    Outcome::Breaks(why) => {
                        let broke = panic::catch_unwind(panic::AssertUnwindSafe(|| check(&make)));
                        if broke.is_ok() {
                            return Err(format!("it holds now, but was known not to: {why}").into());
                        }
                    }
                    _ => check(&make),
                }
                Ok(())
            });
            trials.push(trial.with_ignored_flag(server.is_none()));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
