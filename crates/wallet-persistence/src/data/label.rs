//! Labels: what a person calls transactions, addresses, keys and outputs, as wallets exchange them
//! (BIP-329).

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

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
    /// Lines that are new, or say something else than what was known.
    pub written: u64,
    /// Lines that say nothing new.
    pub same: u64,
    /// Lines about transactions that have a label of another origin: that stays, and of these lines
    /// nothing is kept. The wallet has one label for each transaction.
    pub other_origin: u64,
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

    /// The label in its one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.reference = text::checked("what a label is for", &self.reference, 1000)?;
        self.label = text::optional("a label", self.label.as_deref(), 10_000)?;
        self.origin = text::optional("the origin of a label", self.origin.as_deref(), 1000)?;
        Ok(self)
    }

    /// A line of a file; an empty label says nothing, as one that is left out.
    fn of_line(line: &str) -> Option<Self> {
        let mut label: Self = serde_json::from_str(line).ok()?;
        label.label = label.label.filter(|text| !text.trim().is_empty());
        label.checked().ok()
    }

    /// This one over what is known: what it leaves out is as it was.
    fn over(mut self, known: Option<&Self>) -> Self {
        let Some(known) = known else { return self };
        self.label = self.label.or_else(|| known.label.clone());
        self.origin = self.origin.or_else(|| known.origin.clone());
        self.spendable = self.spendable.or(known.spendable);
        for (name, value) in &known.others {
            if !self.others.contains_key(name) {
                self.others.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// Whether another wallet of the same file, or of an earlier one, labelled this transaction.
    fn is_of_another_origin(&self, known: Option<&Self>) -> bool {
        let origins = (self.origin.as_ref(), known.and_then(|known| known.origin.as_ref()));
        self.kind == LabelKind::Tx && matches!(origins, (Some(new), Some(old)) if new != old)
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
    /// Notes labels. What one of them leaves out (`None`) stays as it was, so that a new name does not
    /// make an output spendable again; [`Session::remove_label`] forgets all of it. All of them or
    /// none; resolves when they are durable.
    pub async fn put_labels(&self, labels: impl IntoIterator<Item = Label>) -> Result<()> {
        let store = &self.tower()?.data.labels;
        let mut transaction = store.transaction();
        for label in labels {
            let label = label.checked()?;
            transaction.update(store, label.key(), move |known| Some(label.over(known)))?;
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

    /// Adds the labels of a BIP-329 file, in one durable step. What a line leaves out stays as it was
    /// known, as the BIP asks; an empty label counts as left out. A line that is no label is passed
    /// over and counted, and so is one about a transaction that has a label of another origin.
    pub async fn import_labels(&self, bip329: &str) -> Result<ImportedLabels> {
        let store = &self.tower()?.data.labels;
        let imported = Arc::new(Mutex::new(ImportedLabels::default()));
        let mut passed_over = 0;
        let mut transaction = store.transaction();
        for line in bip329.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some(label) = Label::of_line(line) else {
                passed_over += 1;
                continue;
            };
            let imported = imported.clone();
            transaction.update(store, label.key(), move |known| {
                let mut imported = imported.lock().unwrap_or_else(PoisonError::into_inner);
                if label.is_of_another_origin(known) {
                    imported.other_origin += 1;
                    return None;
                }
                let label = label.over(known);
                let is_new = known != Some(&label);
                *(if is_new { &mut imported.written } else { &mut imported.same }) += 1;
                is_new.then_some(label)
            })?;
        }
        transaction.submit()?.await?;
        let imported = *imported.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ImportedLabels { passed_over, ..imported })
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
