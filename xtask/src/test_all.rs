//! `test-all`: every check of this repository, in the order in which they cost time.

mod alone;
mod report;
mod suites;
mod targets;

use std::{env, time::Instant};

use report::{Report, Stop};

use crate::{
    ceramic_node, examples, kernels, queries, reader,
    run::{Step, Stream},
    servers, tidy,
    tools::Tool,
};

/// All crates but those with peers and with LDK, which nobody should compile without asking for them.
pub(crate) const OURS: [&str; 9] = [
    "--workspace",
    "--exclude",
    "kv-bench",
    "--exclude",
    "ldk-bench",
    "--exclude",
    "kv-fs-compat",
    "--exclude",
    "kv-ldk",
];

/// What the sections share.
struct Context {
    ci: bool,
    counts: suites::Counts,
}

type Section = fn(&mut Context) -> Result<(), Stop>;

/// Name, whether it takes long, and what it does. The same profile and features are used wherever
/// possible, so that a later section finds the work of an earlier one.
const SECTIONS: [(&str, bool, Section); 20] = [
    ("fmt", false, fmt),
    ("tidy", false, |_| Ok(tidy::run()?)),
    ("clippy", false, clippy),
    ("ceramic node", false, |_| install_ceramic_node()),
    ("tests", false, suites::run),
    ("doc tests", false, suites::run_doc_tests),
    ("examples", false, |_| Ok(examples::run()?)),
    ("reader", false, |_| in_another_language()),
    ("queries", false, |_| by_a_script()),
    ("beside LDK", true, suites::run_beside_ldk),
    ("beside bdk", true, suites::run_beside_bdk),
    ("servers", true, on_servers),
    ("on LDK", true, suites::run_on_ldk),
    ("kernels", true, on_kernels),
    ("each crate alone", true, |_| alone::run()),
    ("other systems", true, |_| targets::run()),
    ("docs", true, docs),
    ("book", true, book),
    ("deny", true, deny),
    ("nothing changed", false, nothing_changed),
];

/// Runs all sections, also after a failed one, and prints the summary. True if all is well.
pub(crate) fn run(quick: bool) -> bool {
    let ci = env::var("CI").is_ok_and(|value| value == "true");
    let mut context = Context { ci, counts: suites::Counts::default() };
    let mut report = Report::default();
    for (name, slow, section) in SECTIONS {
        report::headline(name);
        let start = Instant::now();
        let outcome = if quick && slow {
            Err(Stop::Skipped("left out by --quick".to_owned()))
        } else {
            section(&mut context)
        };
        report.add(name, start.elapsed(), outcome);
    }
    report.print(ci);
    println!("{}", context.counts);
    report.is_good(ci) && context.counts.is_good()
}

fn fmt(_: &mut Context) -> Result<(), Stop> {
    need(Tool::Rustfmt)?;
    Ok(Step::cargo(&["fmt", "--all", "--check"]).run()?)
}

fn clippy(_: &mut Context) -> Result<(), Stop> {
    need(Tool::Clippy)?;
    let flags = ["--all-targets", "--all-features", "--", "-D", "warnings"];
    Ok(Step::cargo(&[&["clippy"], OURS.as_slice(), flags.as_slice()].concat()).run()?)
}

fn docs(_: &mut Context) -> Result<(), Stop> {
    let args = [&["doc"], OURS.as_slice(), &["--no-deps", "--all-features"]].concat();
    Ok(Step::cargo(&args).env("RUSTDOCFLAGS", "-D warnings").run()?)
}

fn book(_: &mut Context) -> Result<(), Stop> {
    need(Tool::Mdbook)?;
    let mut warnings = 0;
    Step::new("mdbook", &["build", "docs"]).watch(Stream::Err, |line| {
        let mut words = line.split_whitespace();
        warnings += u32::from(words.any(|word| word == "WARN" || word == "ERROR"));
    })?;
    if warnings > 0 {
        return Err(Stop::Failed(format!("mdbook warned {warnings} times")));
    }
    Ok(())
}

fn on_kernels(_: &mut Context) -> Result<(), Stop> {
    match kernels::why_not() {
        Some(why) => Err(Stop::Skipped(why)),
        None => Ok(kernels::run(kernels::Size::SHORT, None)?),
    }
}

/// The conformance suite of clouds against real servers.
fn on_servers(_: &mut Context) -> Result<(), Stop> {
    if let Some(why) = servers::why_not() {
        return Err(Stop::Skipped(why));
    }
    let left_out = servers::run()?;
    if left_out.is_empty() { Ok(()) } else { Err(Stop::Skipped(left_out.join("; "))) }
}

/// Without it the tests against a real Ceramic node are not there.
fn install_ceramic_node() -> Result<(), Stop> {
    match ceramic_node::why_not() {
        Some(why) => Err(Stop::Skipped(why)),
        None => Ok(ceramic_node::install()?),
    }
}

/// The format pages are enough to write a reader: a script made from them alone reads a backup.
fn in_another_language() -> Result<(), Stop> {
    match reader::why_not() {
        Some(why) => Err(Stop::Skipped(why)),
        None => Ok(reader::run()?),
    }
}

/// Each query about the real blocks answers as a script does that goes through the same JSON.
fn by_a_script() -> Result<(), Stop> {
    match queries::why_not() {
        Some(why) => Err(Stop::Skipped(why)),
        None => Ok(queries::run()?),
    }
}

fn deny(_: &mut Context) -> Result<(), Stop> {
    need(Tool::Deny)?;
    // Advisories need the network and change without us: deny.toml says more.
    // What these compare with is never shipped.
    let graph =
        ["deny", "--exclude", "kv-bench", "--exclude", "ldk-bench", "--exclude", "kv-fs-compat"];
    let checks = ["check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    Ok(Step::cargo(&[graph.as_slice(), checks.as_slice()].concat()).run()?)
}

/// The checks must leave the tracked files as they were; at home one has changes of one's own.
fn nothing_changed(context: &mut Context) -> Result<(), Stop> {
    if !context.ci {
        return Err(Stop::Skipped("only with CI=true".to_owned()));
    }
    need(Tool::Git)?;
    Ok(Step::new("git", &["--no-pager", "diff", "--exit-code"]).run()?)
}

fn need(tool: Tool) -> Result<(), Stop> {
    if tool.is_there() { Ok(()) } else { Err(Stop::Skipped(tool.why_skipped().to_owned())) }
}
