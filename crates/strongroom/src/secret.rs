//! Words and keys: read from files or from a prompt, never from the command line.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use wallet_persistence::{RootSecret, Words};
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Result};

const KEY_FILE: &str = "STRONGROOM_KEY_FILE";
const MNEMONIC_FILE: &str = "STRONGROOM_MNEMONIC_FILE";

/// The secret of an existing wallet: from the file that the environment names, else from a prompt.
pub(crate) fn unlocking() -> Result<RootSecret> {
    match from_env()? {
        Some(secret) => Ok(secret),
        None => from_prompt(),
    }
}

/// The secret in the file that the environment names, if it names one.
pub(crate) fn from_env() -> Result<Option<RootSecret>> {
    let file = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (file(KEY_FILE), file(MNEMONIC_FILE)) {
        (Some(_), Some(_)) => Err(Failure::new(
            Code::Usage,
            format!("{KEY_FILE} and {MNEMONIC_FILE} are both set"),
            "unset one of them",
        )),
        (Some(path), None) => key_file(&path, KEY_FILE).map(Some),
        (None, Some(path)) => mnemonic_file(&path, MNEMONIC_FILE).map(Some),
        (None, None) => Ok(None),
    }
}

/// The key in a file; `named_by` is the option or variable that names it.
pub(crate) fn key_file(path: &Path, named_by: &str) -> Result<RootSecret> {
    parse_key(&read(path, named_by)?, named_by)
}

/// The words in a file; `named_by` is the option or variable that names it.
pub(crate) fn mnemonic_file(path: &Path, named_by: &str) -> Result<RootSecret> {
    parse_words(&read(path, named_by)?, named_by)
}

/// The path is not repeated in errors: people put the secret itself there by mistake.
fn read(path: &Path, named_by: &str) -> Result<Zeroizing<String>> {
    let file = format_args!("the file that {named_by} names").to_string();
    fs::read_to_string(path).map(Zeroizing::new).map_err(|e| Failure::unreadable(file, &e))
}

fn from_prompt() -> Result<RootSecret> {
    let no_terminal = || {
        Failure::new(
            Code::Usage,
            "there is no terminal to ask for the words or the key",
            format!("set {MNEMONIC_FILE} or {KEY_FILE} to the path of a file that holds them"),
        )
    };
    // The prompt is read from the terminal, so that standard input stays free for data.
    if !io::stderr().is_terminal() {
        return Err(no_terminal());
    }
    let text = rpassword::prompt_password("Words (or key), not shown: ");
    let text = Zeroizing::new(text.map_err(|_| no_terminal())?);
    let is_key = !text.trim().contains(char::is_whitespace) && text.trim().len() == 64;
    if is_key { parse_key(&text, "the prompt") } else { parse_words(&text, "the prompt") }
}

fn parse_key(text: &str, from: &str) -> Result<RootSecret> {
    let help = "a key file holds 64 hexadecimal characters and nothing else";
    RootSecret::from_hex(text)
        .map_err(|e| Failure::new(Code::WrongKey, format!("not a key ({from})"), help).because(&e))
}

fn parse_words(text: &str, from: &str) -> Result<RootSecret> {
    let help = "compare with the words you wrote down: the same words, in the same order";
    let wrong = format!("not the words of a wallet ({from})");
    Words::parse(text)
        .map(|words| RootSecret::from_words(&words))
        .map_err(|e| Failure::new(Code::WrongKey, wrong, help).because(&e))
}
