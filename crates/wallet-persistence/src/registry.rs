//! Every kind of data the wallet keeps: where it lies, whether it merges, whether it is backed up. A
//! page of the book is made from it.

use backup::{Rule, Rules};
use kv_core::Namespace;
use records::Record;

use crate::{
    Account, Balance, Click, ContractProgress, EarnedReward, EvmTransaction, KvNamespace, Label,
    Nft, RejectedCohort, SiteVisit,
};

/// One kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// Where it lies.
    pub place: Place,
    /// What is kept under one key, and so merges as one.
    pub unit: &'static str,
    /// Who may write it, and how it is backed up.
    pub rule: Rule,
}

/// The namespaces of a kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One namespace: primary and secondary.
    One(&'static str, &'static str),
    /// Every namespace with this primary one that has no line of its own.
    OthersOf(&'static str),
    /// Every namespace that has no line of its own.
    Others,
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    record("accounts", Account::STORE, "an account"),
    record("EVM transactions", EvmTransaction::STORE, "a transaction of a chain"),
    record("balances", Balance::STORE, "an asset in an account"),
    record("NFTs", Nft::STORE, "an item in an account"),
    record("earned rewards", EarnedReward::STORE, "a reward"),
    record("clicks", Click::STORE, "a click"),
    record("site visits", SiteVisit::STORE, "a visit"),
    record("rejected cohorts", RejectedCohort::STORE, "a cohort"),
    record("latest blocks of contracts", ContractProgress::STORE, "a contract of a chain"),
    record("labels (BIP-329)", Label::STORE, "what has a label"),
    record("classes of key-value namespaces", KvNamespace::STORE, "a namespace"),
    Kind {
        name: "records of applications, and key-value data that was chosen to merge",
        place: Place::OthersOf(RECORDS),
        unit: "a record, an entry",
        rule: Rule::Mergeable,
    },
    Kind {
        name: "profile, and fields of applications",
        place: Place::One(FIELDS, ""),
        unit: "a field",
        rule: Rule::Mergeable,
    },
    Kind {
        name: "settings of this device, such as its clouds",
        place: Place::OthersOf(SETTINGS),
        unit: "a setting",
        rule: Rule::LocalOnly,
    },
    Kind {
        name: "key-value data of applications",
        place: Place::Others,
        unit: "nothing",
        rule: Rule::SingleWriter,
    },
];

/// The primary namespace of typed records.
pub(crate) const RECORDS: &str = "~records";

/// The primary namespace of single named values.
const FIELDS: &str = "~fields";

/// The primary namespace of this device's settings.
pub(crate) const SETTINGS: &str = "~settings";

const fn record(name: &'static str, store: &'static str, unit: &'static str) -> Kind {
    Kind { name, place: Place::One(RECORDS, store), unit, rule: Rule::Mergeable }
}

pub(crate) fn rules() -> Rules {
    Rules::new(KINDS.iter().filter_map(|kind| Some((kind.place.primary()?, kind.rule))))
}

/// Whether a namespace is user data: counted by the digest and by listings.
pub(crate) fn is_user_data(ns: &Namespace) -> bool {
    ns.primary() != SETTINGS
}

impl Place {
    fn primary(self) -> Option<&'static str> {
        match self {
            Self::One(primary, _) | Self::OthersOf(primary) => Some(primary),
            Self::Others => None,
        }
    }
}

impl Kind {
    /// Who may write it, in words.
    pub fn class(&self) -> &'static str {
        match self.rule {
            Rule::Mergeable => "mergeable: every device",
            Rule::SingleWriter => "single writer: one device at a time",
            Rule::LocalOnly => "this device only",
        }
    }

    /// How it is backed up, in words.
    pub fn backup(&self) -> &'static str {
        match self.rule {
            Rule::Mergeable => "yes, and merged by the other devices",
            Rule::SingleWriter => "yes, and fenced",
            Rule::LocalOnly => "never",
        }
    }

    fn namespace(&self) -> String {
        match self.place {
            Place::One(primary, "") => format!("`{primary}`"),
            Place::One(primary, secondary) => format!("`{primary}` / `{secondary}`"),
            Place::OthersOf(primary) => {
                let here = KINDS.iter().filter(|kind| kind.place.primary() == Some(primary));
                let others = if here.count() > 1 { ", all others" } else { "" };
                format!("`{primary}`{others}")
            }
            Place::Others => "all others".to_owned(),
        }
    }
}

/// The page of the book that lists every kind of data, as Markdown.
pub fn kinds_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "| kind | namespace | class | merges as one | backed up |\n|---|---|---|---|---|\n";
    for kind in KINDS {
        let (name, namespace, unit) = (kind.name, kind.namespace(), kind.unit);
        let (class, backup) = (kind.class(), kind.backup());
        page += &format!("| {name} | {namespace} | {class} | {unit} | {backup} |\n");
    }
    page + RULES
}

const INTRODUCTION: &str = "\
# Kinds of data

Everything a wallet keeps, where it lies, who may write it, and whether it is backed up.
This page is made from the list in the code (`KINDS` in `wallet-persistence`), and a test compares the two.

";

const RULES: &str = "
## What the classes mean

**Mergeable.** Every device of the wallet may write, also while it is offline.
Each key carries a stamp: the time, a counter, and who wrote it.
Of two states of a key the one with the greater stamp stays, on every device and in whatever order they meet; a removal has a stamp too.
So two devices that change two records keep both changes, and two that change one record keep the later one, whole: records are not mixed.
That two had changed one key without seeing each other is told as an event, `conflict-resolved`.
Clocks that are wrong lose nothing: a change gets a stamp above every stamp its device has seen.

**Single writer.** One device writes at a time, and another one must take over before it may.
It is for data that must never fork, such as the state of Lightning channels.

**This device only.** It stays where it is.

Changing the class of a kind of data is a migration.

## Key-value data of applications

What is written with `kv` has a single writer, and what goes through `kv-ldk` always has.
What is written with `kv_mergeable` (`strongroom kv put --mergeable`) merges, key by key.
The two lie in different places: the entries of a namespace that merges lie below `~records`, in `kv-` and the base32 of a hash of its name.
So nobody's choice on one device can make another device's entries merge, and an entry is never read as one of the other class.

The first write into a namespace chooses its class.
The choice is a record of its own (`kv-namespaces`), with the names in clear, sealed as all records are: it is backed up, restored and known to every device, also when the namespace is empty again.
A write of the other class is refused; of two first writes at once one chooses.
Where two devices that did not know of each other have chosen differently, both kinds of entries stay, and the command line refuses the namespace until they are put together.

To change the class is a migration: `strongroom kv reclass` (`Session::reclass_kv`) moves all entries in one batch, with what this device writes meanwhile, and needs the device that may write what has a single writer.
Whatever the other devices still have of them in the old place does not count after that.
What goes to a single writer is gone on the other devices with their next poll; they get it with a restore.

## Unique indexes between devices

On one device a record that would share a key of a unique index is refused, and nothing changes.
Two devices that are apart can each make a record with the same key.
After they have merged, both records are there on both devices; none is dropped.
Queries find both, the one with the lesser primary key first, on every device.
Each can be saved again with the key that it has; no other record gets that key, and what has given it up does not get it back.
The same holds where an index is declared unique over records that share a key already: `OpenReport` names them, and they stay, also when they are upgraded.
The event `not-unique` names object store, index and the two records when a poll brings that about; where the type is opened later, then, and again in each session that opens it while it is so.
None of the wallet's own kinds has a unique index; an application that wants to avoid this makes the key of the index the primary key.

## Records and what a poll brings

Object stores answer from memory.
A poll makes its changes durable first and tells the object stores then, before it returns: who is told of `merged` reads the new state.
A query or cursor that is open keeps the state as of its opening.
A record that is written on this device while a poll merges has the greater stamp and stays.
A record type that is opened while a poll runs misses nothing of it.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_primary_namespace_has_one_rule() {
        for a in KINDS {
            for b in KINDS.iter().filter(|b| b.place.primary() == a.place.primary()) {
                assert_eq!(a.rule, b.rule, "{} and {}", a.name, b.name);
            }
            assert_eq!(KINDS.iter().filter(|b| b.place == a.place).count(), 1, "{}", a.name);
        }
    }
}
