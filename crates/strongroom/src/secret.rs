//! Words, keys, passphrases and signatures: read from files or from a prompt, never from the command
//! line.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use wallet_persistence::{Passphrase, RootSecret, Secret, Words};
use zeroize::Zeroizing;

use crate::{
    exit::{Code, Failure, Result},
    signature,
};

const KEY_FILE: &str = "STRONGROOM_KEY_FILE";
const MNEMONIC_FILE: &str = "STRONGROOM_MNEMONIC_FILE";
const SIGNATURE_FILE: &str = "STRONGROOM_EVM_SIGNATURE_FILE";
const PASSPHRASE_FILE: &str = "STRONGROOM_PASSPHRASE_FILE";

/// The root secret in the file that the environment names, if it names one. A passphrase is no root
/// secret and passed by.
pub(crate) fn root_from_env() -> Result<Option<RootSecret>> {
    let mut named = [KEY_FILE, MNEMONIC_FILE, SIGNATURE_FILE]
        .into_iter()
        .filter_map(|name| Some((name, file_in(name)?)));
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some((first, _)), Some((second, _))) => Err(both_set(first, second)),
        (Some((name, path)), None) => match name {
            KEY_FILE => key_file(&path, name),
            MNEMONIC_FILE => mnemonic_file(&path, name),
            _ => signature::unlocking(&read(&path, name)?, name),
        }
        .map(Some),
    }
}

/// What opens a wallet, in the file that the environment names, if it names one.
pub(crate) fn from_env() -> Result<Option<Secret>> {
    let root = root_from_env()?;
    match (root, file_in(PASSPHRASE_FILE)) {
        (Some(_), Some(_)) => Err(both_set(PASSPHRASE_FILE, "another of these variables")),
        (Some(root), None) => Ok(Some(Secret::Root(root))),
        (None, Some(path)) => {
            passphrase_file(&path, PASSPHRASE_FILE).map(Secret::Passphrase).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// The root secret of an existing wallet: from the file that the environment names, else from a
/// prompt.
pub(crate) fn root() -> Result<RootSecret> {
    if let Some(root) = root_from_env()? {
        return Ok(root);
    }
    if file_in(PASSPHRASE_FILE).is_some() {
        return Err(Failure::new(
            Code::Usage,
            "a passphrase is not enough for this: the words or the key are needed",
            format!("set {MNEMONIC_FILE} or {KEY_FILE} to the path of a file that holds them"),
        ));
    }
    need_terminal()?;
    match from_prompt(false)? {
        Secret::Root(root) => Ok(root),
        _ => Err(no_terminal()),
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

/// The passphrase in a file; `named_by` is the option or variable that names it.
pub(crate) fn passphrase_file(path: &Path, named_by: &str) -> Result<Passphrase> {
    parse_passphrase(&read(path, named_by)?, named_by)
}

/// The root secret of a new wallet, from two signatures of one account.
pub(crate) fn signature_files(paths: &[PathBuf], named_by: &str) -> Result<RootSecret> {
    let files: Vec<_> = paths.iter().map(|path| read(path, named_by)).collect::<Result<_>>()?;
    match files.as_slice() {
        [first, second] => signature::setting_up(first, second, named_by),
        _ => Err(Failure::new(
            Code::Usage,
            format!("{named_by} must be given twice"),
            "sign the text of `strongroom evm text` twice, into two files: only an account that \
             signs the same both times can open the wallet again",
        )),
    }
}

/// Asks for what opens a wallet. Nothing is open while a person types.
pub(crate) fn from_prompt(has_passphrase: bool) -> Result<Secret> {
    let question = match has_passphrase {
        true => "Passphrase (or words, or key), not shown: ",
        false => "Words (or key), not shown: ",
    };
    let text = ask(question)?;
    let from = "the prompt";
    let is_key = !text.trim().contains(char::is_whitespace) && text.trim().len() == 64;
    if has_passphrase && !is_key {
        // What makes no words may still be the passphrase.
        return match Words::parse(&text) {
            Ok(words) => Ok(Secret::from(&words)),
            Err(_) => parse_passphrase(&text, from).map(Secret::Passphrase),
        };
    }
    let root = if is_key { parse_key(&text, from) } else { parse_words(&text, from) };
    root.map(Secret::Root)
}

/// Asks for a new passphrase, twice.
pub(crate) fn new_passphrase() -> Result<Passphrase> {
    need_terminal()?;
    let first = ask("New passphrase, not shown: ")?;
    let passphrase = parse_passphrase(&first, "the prompt")?;
    if *ask("The same again: ")? == *first {
        Ok(passphrase)
    } else {
        Err(Failure::new(
            Code::BadInput,
            "the two passphrases are not the same",
            "try again; nothing was changed",
        ))
    }
}

/// Only where somebody watches is anything asked.
pub(crate) fn need_terminal() -> Result<()> {
    // The prompt is read from the terminal, so that standard input stays free for data.
    if io::stderr().is_terminal() { Ok(()) } else { Err(no_terminal()) }
}

fn file_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn both_set(first: &str, second: &str) -> Failure {
    Failure::new(Code::Usage, format!("{first} and {second} are both set"), "unset one of them")
}

fn no_terminal() -> Failure {
    Failure::new(
        Code::Usage,
        "there is no terminal to ask for the words, the key or the passphrase",
        format!(
            "set {MNEMONIC_FILE}, {KEY_FILE} or {PASSPHRASE_FILE} to the path of a file that holds \
             them"
        ),
    )
}

fn ask(question: &str) -> Result<Zeroizing<String>> {
    let text = rpassword::prompt_password(question).map_err(|_| no_terminal())?;
    Ok(Zeroizing::new(text))
}

/// The path is not repeated in errors: people put the secret itself there by mistake.
fn read(path: &Path, named_by: &str) -> Result<Zeroizing<String>> {
    let file = format_args!("the file that {named_by} names").to_string();
    fs::read_to_string(path).map(Zeroizing::new).map_err(|e| Failure::unreadable(file, &e))
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

fn parse_passphrase(text: &str, from: &str) -> Result<Passphrase> {
    let help = "a passphrase is one line of at least 8 characters; a file holds nothing else";
    Passphrase::new(text).map_err(|e| {
        Failure::new(Code::WrongKey, format!("not a passphrase ({from})"), help).because(&e)
    })
}
