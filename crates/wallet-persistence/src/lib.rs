//! The front door of Strongroom.
#![doc = include_str!("../README.md")]

/// The example of the repository's README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct RepositoryReadme;

mod account;
mod backends;
mod background;
mod builder;
mod caip;
mod chain_data;
mod clear;
mod clock;
mod closing;
mod clouds;
mod data;
mod date;
mod decimal;
mod devices;
mod digest;
mod entries;
mod error;
mod event;
mod finding;
mod folder;
mod follow;
mod handover;
mod hub;
mod in_order;
mod kv;
mod moved;
mod own_data;
mod past;
mod profile;
mod registry;
mod replicate;
mod replicated;
mod restore;
mod secrets;
mod session;
mod settings;
mod status;
mod store_kind;
mod stores;
mod succession;
mod suspend;
mod tower;
mod upkeep;
mod verified;
mod verify;
mod wallet;

pub use account::{Account, AccountId, BadAccountId};
pub use builder::Builder;
pub use chain_data::{
    BadTransaction, EvmTransaction, Flow, Imported, Side, TxFilter, parse_block, parse_chain,
    parse_transaction,
};
pub use clear::{ClearedClouds, ToClear};
pub use clock::SystemClock;
pub use clouds::{AddedCloud, KnownCloud, check_cloud};
pub use data::{
    ActivityFilter, AssetId, BadAssetId, BadData, BadLabelKind, Balance, Click, ContractProgress,
    EarnedReward, ImportedLabels, Label, LabelKind, Nft, RejectedCohort, SiteVisit,
};
pub use devices::Device;
pub use digest::{Digest, EMPTY_DIGEST};
pub use error::{Error, Reaction, Result, UnlockError};
pub use event::Event;
pub use finding::Finding;
pub use handover::HandoverReport;
pub use kv::{KvClass, KvNamespace, ListedNamespace};
pub use past::{Moment, PastValue};
pub use profile::{BadProfileValue, ProfileField};
pub use registry::{KINDS, Kind, Place, kinds_page};
pub use replicate::{
    BackupListing, BackupReport, ChainSummary, CloudSummary, DumpKind, DumpReport, DumpSummary,
    HeadSummary, ObjectSummary, PollReport, RejoinReport, RestorePoint, SingleWriter,
    TakeoverReport, WriterReport,
};
pub use replicated::OpenedReplicated;
pub use restore::{NewerState, RestoreAt, RestoreProgress, RestoreReport};
pub use session::Session;
pub use settings::Settings;
pub use status::{CloudStatus, Status, Unusable};
pub use store_kind::{BadMoveTarget, MoveTarget, StoreKind};
pub use suspend::{Resumed, Suspended};
pub use verified::{VerifiedBy, VerifiedRestore};
pub use verify::{CloudReport, VerifyReport};
pub use wallet::WalletPersistence;

// What a caller needs from the layers below to use this one.
pub use alloy_primitives::{Address, Bytes, TxHash, U256, U512};
pub use backup::{Gate, Lag, NotYetReplicated, Policies, Policy, Refusal, Rule, WaitForCloud};
pub use cloud::{BadCloudUrl, Check, CheckStep, CloudBackend, CloudUrl, Limits, Probe};
pub use kv_core::{
    Batch, Clock, Copied, CopyError, CopyProgress, Error as StoreError, InvalidName, Key, KvStore,
    KvStoreExt, Namespace, Report, Severity, Side as CopySide, Timestamp, Value,
};
pub use kv_fs::{LdkFolder, LdkVersion};
pub use kv_sqlite::LdkNodeFile;
pub use records;
pub use records::{
    Cursor, Direction, Fields, Found, Index, KeyRange, ObjectStore, Query, Record, RecordKey,
    Records, Transaction,
};
pub use vault::{
    AppKey, BadKey, BadPassphrase, BadRequest, BadSignature, BadWords, Passphrase, RootSecret,
    Secret, SignatureRequest, Words,
};
