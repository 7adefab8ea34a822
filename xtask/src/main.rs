//! Dispatch only: `cargo xtask COMMAND` runs the module of that name.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod bench;
mod ceramic_node;
mod crash;
mod examples;
mod kernels;
mod kill_loop;
mod metadata;
mod money;
mod queries;
mod reader;
mod run;
mod servers;
mod simulate;
mod test_all;
mod tidy;
mod tools;

use std::{env, process::ExitCode};

const HELP: &str = "\
The checks of this repository, the same at home and in CI.

  cargo xtask test-all [--quick]   every check; a summary and the test counts at the end
  cargo xtask tidy                 only the repository's own lints
  cargo xtask golden               freezes the golden files that are new; none can be changed again
  cargo xtask bench kv [OPTIONS]   the stores beside their peers and the limit of the disk;
                                   without options a full run, about an hour, into the book
  cargo xtask bench backup [OPTIONS]
                                   backups and restores, beside restic if it is installed; without
                                   options a full run, about ten minutes, into the book
  cargo xtask bench cloud [OPTIONS]
                                   backups, restores and polls over a line of 50 ms, into the book
  cargo xtask bench records [OPTIONS]
                                   typed records beside SQLite, into the book as well
  cargo xtask bench ldk [OPTIONS]  payments of two Lightning nodes, beside LDK's own store and that of
                                   ldk-node, into the book as well
  cargo xtask kernels [--rounds N] [--seed S]
                                   kv-fs on real file systems: power cuts, kills, a full disk,
                                   failing syncs; N times the minute that test-all spends; needs root
  cargo xtask crash --hours N [--seed S]
                                   random workloads of kv-fs and their crash states, for N hours
  cargo xtask simulate [two|three] [--schedules N] [--seed S]
                                   two devices and two clouds that crash, fail and lie, or three devices
                                   and honest clouds, or both, by N schedules (20,000); with a seed
                                   alone that one, and all that happens in it
  cargo xtask money [--runs N] [--payments N] [--seed S]
                                   a Lightning node that pays while its cloud fails, its process is
                                   killed and its disk is lost, N times (500) N payments (100); with a
                                   seed alone that one life
  cargo xtask ceramic-node         installs the Ceramic node that tests run against into target/;
                                   test-all does it, too
  cargo xtask examples             runs every example of the front door to its end; test-all does it, too
  cargo xtask reader               reads a backup with the script written from the format pages
  cargo xtask queries              asks the program about real blocks, and compares with a script that
                                   goes through the same JSON
  cargo xtask servers [wait]       installs and starts servers of clouds on this machine and runs the
                                   conformance suite against them; with `wait` only starts them
  cargo xtask servers seen FILE    writes into the book what tests saw of clouds that ran with
                                   STRONGROOM_SEEN=FILE; test-all does it, too
  cargo xtask kill-loop [--rounds N]
                                   kills the released program N times (200) during an import

--quick leaves out what takes long: each crate alone, docs, book, deny.

What needs a tool that is not installed is skipped and said so. With CI=true a skip is a
failure, and a change to a tracked file is one too; .ci/run installs the tools first.

Exit codes: 0 all is well (skips allowed, except with CI=true)
            1 a check failed
            2 the arguments make no sense
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let good = match args.as_slice() {
        ["test-all"] => test_all::run(false),
        ["test-all", "--quick"] => test_all::run(true),
        ["tidy"] => report(tidy::run()),
        ["golden"] => report(tidy::freeze()),
        ["ceramic-node"] => report(ceramic_node::why_not().map_or_else(ceramic_node::install, Err)),
        ["reader"] => report(reader::why_not().map_or_else(reader::run, Err)),
        ["examples"] => report(examples::run()),
        ["queries"] => report(queries::why_not().map_or_else(queries::run, Err)),
        ["kill-loop"] => report(kill_loop::run(kill_loop::ROUNDS)),
        ["kill-loop", "--rounds", rounds] => report(kill_loop::run(rounds)),
        ["crash", options @ ..] => report(crash::run(options)),
        ["simulate", options @ ..] => report(simulate::run(options)),
        ["money", options @ ..] => report(money::run(options)),
        ["servers", options @ ..] => report(servers::with(options)),
        ["kernels", options @ ..] => report(kernels::with(options)),
        [kernels::INSIDE, program, rounds, seed] => report(kernels::inside(program, rounds, seed)),
        ["bench", name, options @ ..] if bench::is_one(name) => bench::run(name, options),
        ["help" | "--help" | "-h"] | ["test-all" | "tidy" | "kill-loop", "--help" | "-h"] => {
            print!("{HELP}");
            true
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(outcome: Result<(), String>) -> bool {
    outcome.map_err(|failure| eprintln!("{failure}")).is_ok()
}
