//! Labels: what a person calls transactions, addresses, keys and outputs, as wallets exchange them
//! (BIP-329).

use std::{fmt, str::FromStr};

use records::{Found, KeyRange, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::{BadData, text};
use crate::{Result, Session};

/// A label. Its key is (type, reference); its JSON is a line of a BIP-329 file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: LabelKind,
    /// Which one: the id of a transaction, an address, `TXID:INDEX`, a key.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What it is called; `None`: only the other members say something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Which account it belongs to: the descriptor of that, abbreviated, such as
    /// `wpkh([d34db33f/84'/0'/0'])`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whether an output may be spent; only for [`LabelKind::Output`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spendable: Option<bool>,
    /// Members that later versions of the BIP, or other wallets, have added: kept as they are.
    #[serde(flatten)]
    pub others: serde_json::Map<String, serde_json::Value>,
}

/// What a label is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// A transaction.
    Tx,
    /// An address.
    Addr,
    /// A public key.
    Pubkey,
    /// An input of a transaction.
    Input,
    /// An output of a transaction.
    Output,
    /// An extended public key.
    Xpub,
}

/// Not what a label is for. Correct it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a label is for a tx, addr, pubkey, input, output or xpub")]
pub struct BadLabelKind;

/// What an import of labels did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportedLabels {
    /// Labels that are new, or say something else than before.
    pub written: u64,
    /// Labels that were there already as they are.
    pub same: u64,
    /// Lines that are no labels; the BIP asks to pass over them.
    pub passed_over: u64,
}

impl LabelKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tx, Self::Addr, Self::Pubkey, Self::Input, Self::Output, Self::Xpub];

    /// As the BIP writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Addr => "addr",
            Self::Pubkey => "pubkey",
            Self::Input => "input",
            Self::Output => "output",
            Self::Xpub => "xpub",
        }
    }
}

impl fmt::Display for LabelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LabelKind {
    type Err = BadLabelKind;

    fn from_str(text: &str) -> Result<Self, BadLabelKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(BadLabelKind)
    }
}

impl Label {
    /// A label that says nothing more.
    pub fn new(kind: LabelKind, reference: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            kind,
            reference: reference.into(),
            label: Some(label.into()),
            origin: None,
            spendable: None,
            others: serde_json::Map::new(),
        }
    }

    fn checked(mut self) -> Result<Self, BadData> {
        self.reference = text::checked("what a label is for", &self.reference, 1000)?;
        self.label = text::optional("a label", self.label.as_deref(), 10_000)?;
        self.origin = text::optional("the origin of a label", self.origin.as_deref(), 1000)?;
        Ok(self)
    }
}

impl Record for Label {
    const STORE: &'static str = "labels";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        (self.kind.name(), &self.reference).into()
    }
}

impl Session {
    /// Notes labels, each in place of the one before. All of them or none; resolves when they are
    /// durable.
    pub async fn put_labels(&self, labels: impl IntoIterator<Item = Label>) -> Result<()> {
        let store = &self.tower()?.data.labels;
        let mut transaction = store.transaction();
        for label in labels {
            transaction.put(store, &label.checked()?)?;
        }
        Ok(transaction.submit()?.await?)
    }

    /// The labels of a kind, or all, ascending by kind and reference.
    pub fn labels(&self, kind: Option<LabelKind>) -> Result<Vec<Label>> {
        let query = match kind {
            Some(kind) => Query::all().range(KeyRange::prefix((kind.name(),))),
            None => Query::all(),
        };
        Ok(self.tower()?.data.labels.query(&query)?.map(Found::into_record).collect())
    }

    /// Forgets a label; `false` if there was none.
    pub async fn remove_label(&self, kind: LabelKind, reference: &str) -> Result<bool> {
        self.remove(&self.tower()?.data.labels, (kind.name(), reference)).await
    }

    /// Adds the labels of a BIP-329 file, in one durable step. A label that is there already is
    /// replaced if the file says something else; a line that is no label is passed over and counted,
    /// as the BIP asks.
    pub async fn import_labels(&self, bip329: &str) -> Result<ImportedLabels> {
        let store = &self.tower()?.data.labels;
        let mut imported = ImportedLabels::default();
        let mut labels = std::collections::BTreeMap::new();
        for line in bip329.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let label = serde_json::from_str::<Label>(line).ok().map(Label::checked);
            match label {
                Some(Ok(label)) => _ = labels.insert(label.key(), label),
                _ => imported.passed_over += 1,
            }
        }
        let mut transaction = store.transaction();
        for (key, label) in labels {
            if store.get(key)?.is_some_and(|known| known == label) {
                imported.same += 1;
            } else {
                imported.written += 1;
                transaction.put(store, &label)?;
            }
        }
        transaction.submit()?.await?;
        Ok(imported)
    }

    /// All labels as a BIP-329 file: one JSON object a line. It is not encrypted.
    pub fn export_labels(&self) -> Result<String> {
        let mut file = String::new();
        for label in self.labels(None)? {
            // What is stored was JSON before.
            file += &serde_json::to_string(&label).unwrap_or_default();
            file.push('\n');
        }
        Ok(file)
    }
}
