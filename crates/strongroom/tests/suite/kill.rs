//! `kill -9` at a random moment of an import: whatever was acknowledged is there.

use std::{
    env, fs,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Home, Random, lines};

/// How many rounds; more where this variable says so.
const ROUNDS: &str = "STRONGROOM_KILL_ROUNDS";
const USUAL_ROUNDS: u64 = 5;
/// Every so many rounds the import is one of a large file, with checkpoints under way.
const LARGE_EVERY: u64 = 20;
/// Each import has at least so many batches.
const BATCHES: usize = 50;

#[test]
fn kill_nine_loses_nothing_that_was_acknowledged() {
    let rounds = env::var(ROUNDS).map_or(USUAL_ROUNDS, |rounds| rounds.parse().unwrap());
    let mut random = Random::new();
    let mut total = 0;
    for round in 1..=rounds {
        let (acknowledged, stored) = match round % LARGE_EVERY {
            0 => large_round(round, &mut random),
            _ => small_round(round, &mut random),
        };
        println!("round {round}: {acknowledged} acknowledged, {stored} stored");
        total += acknowledged;
    }
    println!("{rounds} rounds, {total} transactions acknowledged, none lost");
}

/// Feeds small batches, one after the other's acknowledgement, and kills within a commit.
fn small_round(round: u64, random: &mut Random) -> (usize, usize) {
    let home = Home::new();
    let sizes: Vec<usize> = (0..BATCHES).map(|_| 1 + random.below(12) as usize).collect();
    let all = lines(sizes.iter().sum(), round);
    let mut import = Running::start(&home, "-");
    let mut input = import.child.stdin.take().unwrap();
    let last = 1 + random.below(BATCHES as u64 - 1) as usize;
    let mut given = 0;
    let mut took = Duration::ZERO;
    for size in &sizes[..last] {
        let begun = Instant::now();
        given += write(&mut input, &all[given..given + size]);
        while import.acknowledged < given {
            assert!(import.next_ack(&all), "the import ended early");
        }
        took = begun.elapsed();
    }
    given += write(&mut input, &all[given..given + sizes[last]]);
    // Somewhere between before and after the commit that is now under way.
    let wait = random.below(took.as_micros() as u64 * 3 / 2);
    thread::sleep(Duration::from_micros(wait));
    let acknowledged = import.kill(&all);
    let stored = check(&home, &all, acknowledged, given);
    go_on(&home, &all);
    (acknowledged, stored)
}

/// Imports a file of full batches, as fast as it goes.
fn large_round(round: u64, random: &mut Random) -> (usize, usize) {
    let home = Home::new();
    let all = lines(BATCHES * 1_000, round);
    let text: String = all.iter().map(|(_, line)| line.as_str()).collect();
    home.file("txs", text);
    let mut import = Running::start(&home, "txs");
    let batches = 1 + random.below(BATCHES as u64 - 1) as usize;
    while import.acknowledged < batches * 1_000 {
        assert!(import.next_ack(&all), "the import ended early");
    }
    thread::sleep(Duration::from_millis(random.below(300)));
    let acknowledged = import.kill(&all);
    (acknowledged, check(&home, &all, acknowledged, all.len()))
}

fn write(input: &mut impl Write, part: &[(String, String)]) -> usize {
    let text: String = part.iter().map(|(_, line)| line.as_str()).collect();
    input.write_all(text.as_bytes()).unwrap();
    part.len()
}

/// An import, and how much of it is acknowledged.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    acknowledged: usize,
}

impl Running {
    fn start(home: &Home, file: &str) -> Self {
        let mut command = home.command(&["import", "txs", file]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output, acknowledged: 0 }
    }

    /// Reads a whole line of acknowledgement; `false` at the end.
    fn next_ack(&mut self, all: &[(String, String)]) -> bool {
        let Some(line) = self.output.next() else { return false };
        let line = line.unwrap();
        let (n, hash) = line.strip_prefix("committed ").unwrap().split_once(' ').unwrap();
        let n: usize = n.parse().unwrap();
        assert!(n > self.acknowledged);
        assert_eq!(hash, all[n - 1].0);
        self.acknowledged = n;
        true
    }

    /// Kills it, and counts what it had said before.
    fn kill(mut self, all: &[(String, String)]) -> usize {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.next_ack(all) {}
        self.acknowledged
    }
}

/// Everything acknowledged is there, in full, and nothing that was not given; how much there is.
fn check(home: &Home, all: &[(String, String)], acknowledged: usize, given: usize) -> usize {
    let mut listed = home.json(&["tx", "list", "--limit", "1000000"]);
    listed.reverse();
    let stored = listed.len();
    assert!(acknowledged <= stored, "{acknowledged} acknowledged, {stored} stored");
    assert!(stored <= given);
    for (tx, (hash, line)) in listed.iter().zip(all) {
        let source: Value = serde_json::from_str(line).unwrap();
        assert_eq!(&tx["hash"], hash, "not the first transactions");
        assert_eq!((&tx["from"], &tx["input"]), (&source["from"], &source["input"]));
    }
    let verified = home.json(&["verify"]).remove(0);
    assert_eq!(verified["damaged"], false, "{verified}");
    let damage = |finding: &&Value| finding["severity"] == "damage";
    assert!(verified["local"]["findings"].as_array().unwrap().iter().find(damage).is_none());
    stored
}

/// The wallet takes the rest as if nothing had happened.
fn go_on(home: &Home, all: &[(String, String)]) {
    let text: String = all.iter().map(|(_, line)| line.as_str()).collect();
    fs::write(home.path("txs"), text).unwrap();
    home.ok(&["import", "txs", "txs"]);
    assert_eq!(home.json(&["tx", "list", "--limit", "1000000"]).len(), all.len());
}
