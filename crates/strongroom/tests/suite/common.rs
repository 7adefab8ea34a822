//! A folder with a wallet, a cloud and the words, and the program to run on them.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const MAINNET: &str = "eth-mainnet-block-15571241.json";
pub(crate) const GOERLI: &str = "eth-goerli-block-10536893.json";
pub(crate) const OLD: &str = "eth-mainnet-block-2000004.json";

/// The path of a block that the repository ships.
pub(crate) fn block(name: &str) -> String {
    format!("{}/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Where everything lies: `wallet`, `cloud`, and the file `words`.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// No wallet yet.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A new wallet that backs up to `cloud`.
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        let output = home.bare(&["init", "--cloud", "dir:cloud"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).split_whitespace().count(), 24);
        fs::write(home.path("words"), &output.stdout).unwrap();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with this content; its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// The program, knowing no secret.
    pub(crate) fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in
            ["KEY_FILE", "MNEMONIC_FILE", "PASSPHRASE_FILE", "EVM_SIGNATURE_FILE", "DIR", "LOG"]
        {
            command.env_remove(format!("STRONGROOM_{name}"));
        }
        command.env("STRONGROOM_DIR", "wallet");
        command
    }

    /// The program, knowing where the words are.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.env("STRONGROOM_MNEMONIC_FILE", "words");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command that must succeed prints.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Each line that a command prints with `--json`.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let output = self.ok(&[&["--json"], args].concat());
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a command says that must fail with this code.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        failed(code, &mut self.command(args))
    }

    pub(crate) fn digest(&self) -> String {
        self.ok(&["digest"]).trim().to_owned()
    }

    pub(crate) fn lose_the_device(&self) {
        fs::remove_dir_all(self.path("wallet")).unwrap();
    }
}

/// Runs a command that must fail with this code; what it says, in the form that every error has.
pub(crate) fn failed(code: i32, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    if code != 2 || said.contains("\nhelp: ") {
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("error: ") && lines[1].starts_with("help: "), "{said}");
    }
    said
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every file below a folder, ascending.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Transactions of a real block, `n` of them under new hashes, as lines for `import txs`.
pub(crate) fn lines(n: usize, salt: u64) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(&fs::read_to_string(block(MAINNET)).unwrap()).unwrap();
    let real = json["result"]["transactions"]
        .as_array()
        .unwrap_or_else(|| json["transactions"].as_array().expect("a block has transactions"));
    (0..n)
        .map(|i| {
            let mut tx = real[i % real.len()].clone();
            let hash = format!("0x{:016x}{i:016x}{}", salt, "ab".repeat(16));
            tx["hash"] = hash.clone().into();
            tx["timestamp"] = (1_663_635_143 + i).into();
            (hash, format!("{tx}\n"))
        })
        .collect()
}

/// Random numbers; the seed is printed, so that a failing test tells it.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().build_hasher().finish() | 1;
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
