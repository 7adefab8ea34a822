//! Why a command failed, what to do about it, and the exit code that says so to scripts.

use std::{
    error::Error as StdError,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use serde::Serialize;
use wallet_persistence::{Error, InvalidName, Reaction, UnlockError};

/// A result with a [`Failure`].
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exit codes. Listed in the help text and in the book; a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Nobody reads the output any more; nothing failed.
    Quiet = 0,
    Other = 1,
    Usage = 2,
    WrongKey = 3,
    Damage = 4,
    InUse = 5,
    Missing = 6,
    Exists = 7,
    NotWritable = 8,
    Cloud = 9,
    TooNew = 10,
    BadInput = 11,
    OtherDevice = 12,
    Stale = 13,
}

/// What the help text says after the options.
pub(crate) const HELP: &str = "\
The words or the key are read from the file that STRONGROOM_MNEMONIC_FILE or STRONGROOM_KEY_FILE
names (64 hexadecimal characters for a key), the passphrase of this device from that of
STRONGROOM_PASSPHRASE_FILE, an account's address and signature from that of
STRONGROOM_EVM_SIGNATURE_FILE; else they are asked for on the terminal. They are never given on the
command line. STRONGROOM_LOG=info shows what happens inside.

Exit codes:
   0  it is done
   1  anything that has no code of its own
   2  wrong use of the command line
   3  wrong words, key, passphrase or signature
   4  damage found
   5  the wallet is in use by another process
   6  nothing here: no wallet, no backup, no such entry
   7  there is something here already
   8  no space left, or not writable
   9  the cloud failed
  10  made by a newer version
  11  bad input: a file that cannot be read or a line that makes no sense
  12  this device may not do that: another one writes, or has to be taken over from
  13  more is known to exist than would be restored";

/// An error as a person sees it: what happened and what to do. Holds no key, no word, no value.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
    help: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }

    /// Adds the messages of an error and its sources.
    pub(crate) fn because(mut self, error: &dyn StdError) -> Self {
        self.message.push_str(": ");
        self.message.push_str(&chain(error));
        self
    }

    /// Says first what it came in the way of, and last what holds nevertheless.
    pub(crate) fn on(mut self, what: impl std::fmt::Display, but: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self.help.push_str("; ");
        self.help.push_str(but);
        self
    }

    /// Puts the place it is about before the message.
    pub(crate) fn at(self, place: &Path) -> Self {
        self.before(place.display())
    }

    /// Says first what it is about.
    pub(crate) fn before(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Says what to do if it is that something is not there.
    pub(crate) fn if_missing(mut self, help: impl Into<String>) -> Self {
        if self.code == Code::Missing {
            self.help = help.into();
        }
        self
    }

    /// A file that the user named cannot be read.
    pub(crate) fn unreadable(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self::new(
            Code::BadInput,
            format!("cannot read {what}"),
            "check the file and its permissions",
        )
        .because(error)
    }

    /// Standard output cannot be written to. That its reader left is no failure of ours.
    pub(crate) fn output(error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::BrokenPipe => Code::Quiet,
            io::ErrorKind::StorageFull => Code::NotWritable,
            _ => Code::Other,
        };
        Self::new(code, "cannot write the result", "check where the output goes").because(error)
    }

    /// Even that the reader of our output has gone counts: it missed an acknowledgement.
    pub(crate) fn loud(mut self) -> Self {
        if self.is_quiet() {
            self.code = Code::Other;
        }
        self
    }

    /// Whether only the reader of our output has gone.
    pub(crate) fn is_quiet(&self) -> bool {
        self.code == Code::Quiet
    }

    /// Tells standard error, and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        #[derive(Serialize)]
        struct Json<'a> {
            error: &'a str,
            help: &'a str,
            code: u8,
        }
        let code = self.code as u8;
        if !self.is_quiet() {
            let (error, help) = (self.message.as_str(), self.help.as_str());
            let text = match json {
                true => serde_json::to_string(&Json { error, help, code }).unwrap_or_default(),
                false => format!("error: {error}\nhelp: {help}"),
            };
            // Where standard error is closed, the exit code has to do.
            let _ = writeln!(io::stderr(), "{text}");
        }
        ExitCode::from(code)
    }
}

impl From<UnlockError> for Failure {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::Other(error) => error.into(),
            error => of(error.reaction(), &error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = of(error.reaction(), &error);
        match error {
            Error::NoCloud => {
                failure.help =
                    "a wallet gets its clouds from `cloud add`, `init --cloud` or `restore --cloud`"
                        .into();
            }
            Error::Backup(_) if failure.code == Code::Missing => {
                failure.help = "check the address of the cloud, and the words or the key".into();
            }
            _ => {}
        }
        failure
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::new(Code::Usage, "not a name for an entry", help(Reaction::Correct)).because(&error)
    }
}

fn of(reaction: Reaction, error: &dyn StdError) -> Failure {
    Failure::new(code(reaction), chain(error), help(reaction))
}

fn code(reaction: Reaction) -> Code {
    match reaction {
        Reaction::OtherKey | Reaction::OtherPassphrase => Code::WrongKey,
        Reaction::Restore | Reaction::OtherCloud => Code::Damage,
        Reaction::CloseOther => Code::InUse,
        Reaction::Upgrade => Code::TooNew,
        Reaction::FreeSpace | Reaction::MakeWritable => Code::NotWritable,
        Reaction::Missing | Reaction::Elsewhere | Reaction::EndMove => Code::Missing,
        Reaction::Exists => Code::Exists,
        Reaction::CheckCloud | Reaction::LookAtFindings => Code::Cloud,
        Reaction::TakeOver | Reaction::RestoreAgain => Code::OtherDevice,
        Reaction::AcceptStale => Code::Stale,
        Reaction::Correct | Reaction::Reclass => Code::Usage,
        _ => Code::Other,
    }
}

fn help(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::OtherKey => "use the words or the key this wallet was made with",
        Reaction::OtherPassphrase => {
            "use the passphrase set on this device, or the words or the key, which always open it"
        }
        Reaction::Restore => {
            "keep this folder aside and restore into another one: \
             strongroom --dir NEW restore --cloud URL"
        }
        Reaction::CloseOther => "close the other program that uses this wallet, then try again",
        Reaction::Upgrade => "use a newer version of strongroom",
        Reaction::FreeSpace => "free some space, then try again; nothing acknowledged is lost",
        Reaction::MakeWritable => {
            "make the folder and the medium writable for you, then try again; nothing is lost"
        }
        Reaction::Missing => {
            "make a wallet with `strongroom init`, bring one back with `strongroom restore`, \
             or name another folder with --dir"
        }
        Reaction::Elsewhere => {
            "name the place it was moved to with --dir; `strongroom migrate --help` says what to do if \
             it is nowhere"
        }
        Reaction::EndMove => {
            "run the same `strongroom migrate --to` again, after removing what else may stand at the \
             new place; if it can never end, see --abandon-move in `strongroom migrate --help`"
        }
        Reaction::Exists => "name another folder with --dir",
        Reaction::CheckCloud => {
            "check the cloud and its address, then try again; nothing local is lost"
        }
        Reaction::OtherCloud => {
            "use another cloud; a device that still has the wallet finds out more with \
             `strongroom verify --cloud`"
        }
        Reaction::TakeOver => {
            "go on where the other device is; or, if it has stopped for good, run `strongroom \
             takeover` (`takeover --back` where this folder was handed over)"
        }
        Reaction::RestoreAgain => {
            "restore the newest state into another folder, and take over there: strongroom --dir NEW \
             restore --cloud URL, then strongroom --dir NEW takeover"
        }
        Reaction::LookAtFindings => {
            "see `strongroom backup status`; use another cloud, or take note with `strongroom backup \
             acknowledge` and try again"
        }
        Reaction::AcceptStale => {
            "name all clouds of the wallet, and no --at; or look at that state with --accept-stale: \
             what came later is lost there, and a Lightning node started from it loses its channels' \
             money"
        }
        Reaction::Reclass => {
            "`strongroom kv namespaces` shows which class each one has; `strongroom kv reclass` moves \
             the entries of one to the other class; --mergeable and --single-writer read either"
        }
        Reaction::Correct => "correct it and try again; `strongroom help` lists the commands",
        _ => "try again; if it stays, please report it",
    }
}

/// The messages of an error and its sources. A transparent wrapper repeats its source; say it once.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if message != last {
            text.push_str(": ");
            text.push_str(&message);
        }
        last = message;
        source = error.source();
    }
    text
}
