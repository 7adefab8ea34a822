//! What a wallet holds, as the oracle counts it: every value says which change wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wallet_persistence::{
    AccountId, Batch, Index, Key, Namespace, ProfileField, Query, Record, RecordKey, Session,
};

/// No byte of this may ever be seen in a cloud.
pub(crate) const MARK: &str = "PLAINTEXT";

/// Keys of single-writer data.
pub(crate) const KEYS: u8 = 6;
/// Accounts and fields: keys of mergeable data.
pub(crate) const ACCOUNTS: u8 = 5;
pub(crate) const FIELDS: [ProfileField; 3] =
    [ProfileField::FamilyName, ProfileField::Gender, ProfileField::GivenName];

/// A key of mergeable data: an account, or (from `ACCOUNTS` on) a field, or (from `NO_CONTACT` on) a
/// contact.
pub(crate) type MergeKey = u8;
pub(crate) const NO_CONTACT: u8 = ACCOUNTS + FIELDS.len() as u8;
pub(crate) const MERGE_KEYS: u8 = NO_CONTACT + 4;

/// An application's own record, with a nickname that nobody else should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) key: MergeKey,
    pub(crate) nick: u8,
    /// Which change wrote it.
    pub(crate) note: String,
}

impl Record for Contact {
    const STORE: &'static str = "sim-contacts";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] =
        &[Index::unique("nick", |contact| Some(u64::from(contact.nick).into()))];

    fn key(&self) -> RecordKey {
        u64::from(self.key).into()
    }
}

/// Everything in a wallet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The newest single-writer batch; 0: none.
    pub(crate) batch: usize,
    /// Which batch wrote each key.
    pub(crate) single: BTreeMap<u8, usize>,
    /// Which change wrote each key.
    pub(crate) merge: BTreeMap<MergeKey, usize>,
    /// The nickname of each contact.
    pub(crate) nicks: BTreeMap<MergeKey, u8>,
}

impl Content {}

fn ns() -> Namespace {
    Namespace::new("sim", "channels").unwrap()
}

fn key(number: u8) -> Key {
    Key::new(&format!("{MARK}-{number}")).unwrap()
}

/// The value that a batch writes to a key: long or short, and told from every other.
fn value(key: u8, batch: usize) -> String {
    let len = [10, 300, 40, 3000][batch % 4];
    format!("{MARK} {batch} {key} {}", "x".repeat(len))
}

/// The single-writer batch of this number; a key with `false` is removed.
pub(crate) fn batch(number: usize, changes: &BTreeMap<u8, bool>) -> Batch {
    let mut batch = Batch::new().put(&ns(), &Key::new("batch").unwrap(), number.to_string());
    for (changed, put) in changes {
        batch = if *put {
            batch.put(&ns(), &key(*changed), value(*changed, number))
        } else {
            batch.remove(&ns(), &key(*changed))
        };
    }
    batch
}

/// Account of a mergeable key.
pub(crate) fn account(key: MergeKey) -> AccountId {
    format!("eip155:1:0x{:040x}", 0xabc0 + u64::from(key)).parse().unwrap()
}

pub(crate) fn field(key: MergeKey) -> Option<ProfileField> {
    FIELDS.get(usize::from(key.checked_sub(ACCOUNTS)?)).copied()
}

pub(crate) fn merge_value(change: usize) -> String {
    format!("{MARK} change {change}")
}

fn read_change(text: &str) -> Result<usize, String> {
    let number = text.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(" change "));
    number.and_then(|n| n.parse().ok()).ok_or(format!("a value nobody wrote: {text}"))
}

/// Reads everything. The outer error is the wallet's, the inner one a broken promise.
pub(crate) async fn read(
    session: &Session,
) -> Result<Result<Content, String>, wallet_persistence::Error> {
    let kv = session.kv()?;
    let mut content = Content::default();
    if let Some(number) = kv.read(&ns(), &Key::new("batch").unwrap())? {
        content.batch = String::from_utf8_lossy(&number).parse().unwrap_or(0);
    }
    for number in 0..KEYS {
        let Some(found) = kv.read(&ns(), &key(number))? else { continue };
        let text = String::from_utf8_lossy(&found).into_owned();
        let batch = text.split(' ').nth(1).and_then(|batch| batch.parse().ok());
        match batch.filter(|batch| value(number, *batch) == text) {
            Some(batch) => drop(content.single.insert(number, batch)),
            None => return Ok(Err(format!("key {number} has a value nobody wrote: {text}"))),
        }
    }
    let mut changes = Vec::new();
    for found in session.accounts()? {
        let key = (0..ACCOUNTS).find(|key| account(*key) == found.id);
        changes.push((key, found.label.unwrap_or_default()));
    }
    for (index, field) in FIELDS.into_iter().enumerate() {
        if let Some(text) = session.profile(field)? {
            changes.push((Some(ACCOUNTS + index as u8), text));
        }
    }
    for contact in session.records::<Contact>().await?.get_all()? {
        content.nicks.insert(contact.key, contact.nick);
        changes.push((Some(contact.key), contact.note.clone()));
    }
    if let Err(broken) = index_agrees(session, &content).await? {
        return Ok(Err(broken));
    }
    for (key, text) in changes {
        let Some(key) = key else { return Ok(Err("an account nobody added".to_owned())) };
        match read_change(&text) {
            Ok(change) => drop(content.merge.insert(key, change)),
            Err(broken) => return Ok(Err(broken)),
        }
    }
    Ok(Ok(content))
}

/// The index of nicknames has each contact, of those with one nickname the least key first.
async fn index_agrees(
    session: &Session,
    content: &Content,
) -> Result<Result<(), String>, wallet_persistence::Error> {
    let contacts = session.records::<Contact>().await?;
    let found = contacts.query(&Query::index("nick"))?.map(|contact| (contact.nick, contact.key));
    let found: Vec<(u8, MergeKey)> = found.collect();
    let mut expected: Vec<_> = content.nicks.iter().map(|(key, nick)| (*nick, *key)).collect();
    expected.sort_unstable();
    if found == expected {
        return Ok(Ok(()));
    }
    Ok(Err(format!("the index of nicknames has {found:?}, the records say {expected:?}")))
}
