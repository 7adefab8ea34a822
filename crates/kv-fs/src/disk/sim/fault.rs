//! Failures of a simulated disk: at which call, with which error, once or from then on.

use std::io;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the methods of the trait")]
pub enum DiskCall {
    Lock,
    CreateDir,
    List,
    Read,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    SyncDisk,
    Modified,
    SetModified,
    Size,
    WriteAt,
    Sync,
    SyncAll,
}

impl DiskCall {
    fn is_change(self) -> bool {
        !matches!(self, Self::List | Self::Read | Self::Modified | Self::Size)
    }
}

/// What fails after the first failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: the failure passes.
    Never,
    /// Every call of the same kind.
    SameCall,
    /// Every call that changes the disk.
    EveryChange,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Which call from now fails; 1 is the next.
    pub nth: u64,
    /// Counts (and at first fails) calls of these kinds only; none means all.
    pub only: &'static [DiskCall],
    /// The error.
    pub cause: Cause,
    /// A failing write leaves the first half of its bytes.
    pub short: bool,
    /// What fails afterwards.
    pub again: Again,
}

/// What the failing call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An error of this kind.
    Kind(io::ErrorKind),
    /// The operating system's error of this number.
    Os(i32),
    /// No answer: it panics, as a bug of the store's own would.
    Panic,
}

impl Fault {
    /// The `n`th call fails once.
    pub fn once(n: u64, kind: io::ErrorKind) -> Self {
        let (cause, again) = (Cause::Kind(kind), Again::Never);
        Self { nth: n, only: &[], cause, short: false, again }
    }
}

/// A failure under way.
#[derive(Debug, Default)]
pub(super) struct Plan {
    fault: Option<Fault>,
    counted: u64,
    failed: Option<DiskCall>,
}

/// How a call fails.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: io::Error,
    pub(super) short: bool,
    pub(super) panics: bool,
}

impl Plan {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        Self { fault, ..Self::default() }
    }

    /// Counts a call, and says whether it fails.
    pub(super) fn count(&mut self, call: DiskCall) -> Option<Failure> {
        let fault = self.fault?;
        let fails = match self.failed {
            None => {
                self.counted += u64::from(fault.only.is_empty() || fault.only.contains(&call));
                self.counted == fault.nth
            }
            Some(first) => match fault.again {
                Again::Never => false,
                Again::SameCall => call == first,
                Again::EveryChange => call.is_change(),
            },
        };
        if !fails {
            return None;
        }
        self.failed = self.failed.or(Some(call));
        let error = match fault.cause {
            Cause::Kind(kind) => io::Error::new(kind, "a simulated failure"),
            Cause::Os(number) => io::Error::from_raw_os_error(number),
            Cause::Panic => io::Error::other("a simulated panic"),
        };
        Some(Failure { error, short: fault.short, panics: fault.cause == Cause::Panic })
    }

    /// The call that failed first.
    pub(super) fn failed(&self) -> Option<DiskCall> {
        self.failed
    }
}
