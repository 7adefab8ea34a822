//! Importing: what is acknowledged, in which pieces, and what a bad line does.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::Value;

use crate::common::{Home, MAINNET, block, lines};

#[test]
fn acknowledgements_count_over_all_files_in_batches_of_at_most_a_thousand() {
    let home = Home::new();
    let all = lines(1_300, 1);
    let join = |part: &[(String, String)]| part.iter().map(|(_, l)| l.as_str()).collect::<String>();
    home.file("one", join(&all[..1_100]));
    home.file("two", format!("\n{}\r\n\n", join(&all[1_100..]).trim_end()));
    let output = home.ok(&["import", "txs", "one", "two"]);
    let mut before = 0;
    for line in output.lines() {
        let (n, hash) = line.strip_prefix("committed ").unwrap().split_once(' ').unwrap();
        let n: usize = n.parse().unwrap();
        assert!(n > before && n - before <= 1_000, "{output}");
        assert_eq!(hash, all[n - 1].0);
        before = n;
    }
    assert_eq!(before, 1_300);
    let json = home.json(&["import", "txs", "one"]);
    let last = json.last().unwrap();
    assert_eq!((&last["committed"], &last["last"]), (&1_100.into(), &all[1_099].0.clone().into()));
}

#[test]
fn slow_input_is_acknowledged_while_it_comes() {
    let home = Home::new();
    let mut child = home
        .command(&["import", "txs", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for (i, (hash, line)) in lines(3, 2).into_iter().enumerate() {
        input.write_all(line.as_bytes()).unwrap();
        // The input stays open: without an acknowledgement this would wait for ever.
        assert_eq!(output.next().unwrap().unwrap(), format!("committed {} {hash}", i + 1));
    }
    drop(input);
    assert!(output.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_bad_line_is_named_and_what_came_before_stays() {
    let home = Home::new();
    let good = lines(3, 3);
    let bad = |second: &str| format!("{}{second}\n{}", good[0].1, good[1].1);
    let no_hash = good[2].1.replace("\"hash\"", "\"hush\"");
    for (i, second) in ["{", "[]", "\u{0}", no_hash.trim_end(), "12"].into_iter().enumerate() {
        home.file("good", &good[2].1);
        home.file("bad.jsonl", bad(second));
        let output = home.run(&["import", "txs", "good", "bad.jsonl"]);
        assert_eq!(output.status.code(), Some(11), "{second}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("error: bad.jsonl:2: "), "{said}");
        let acks = String::from_utf8(output.stdout).unwrap();
        assert_eq!(acks.lines().last(), Some(format!("committed 2 {}", good[0].0).as_str()));
        assert_eq!(home.json(&["tx", "list"]).len(), 2, "round {i}");
    }
    home.file("latin", b"\n\xe9\n");
    assert!(home.fails(11, &["import", "txs", "latin"]).contains("latin:2: "));
    assert!(home.fails(11, &["import", "txs", "nowhere"]).contains("nowhere"));
}

#[test]
fn a_block_inside_an_answer_is_the_same_block() {
    let text = fs::read_to_string(block(MAINNET)).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    if json.get("result").is_some() {
        json = json["result"].take();
    }
    let digest = |content: String| {
        let home = Home::new();
        home.file("block", content);
        home.ok(&["import", "eth-block", "block"]);
        home.digest()
    };
    let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#);
    assert_eq!(digest(json.to_string()), digest(answer));
}

#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    let home = Home::new();
    home.ok(&["import", "eth-block", &block(MAINNET)]);
    for (args, code) in [(vec!["tx", "list"], 0), (vec!["import", "eth-block", &block(MAINNET)], 1)]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home.command(&args).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(said.is_empty(), code == 0, "{said}");
    }
}
