//! The commands for what a wallet keeps: transactions, holdings, rewards, browsing, cohorts, contracts,
//! and taking all of it along.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use wallet_persistence::{AccountId, Address, AssetId, LabelKind, TxHash, U256, parse_chain};

use crate::time;

#[derive(Debug, Subcommand)]
pub(crate) enum Tx {
    /// List transactions, newest first; of each kind of condition one has to be met
    List(TxFilterArgs),
    /// Print the newest transaction of an account
    Latest {
        /// Such as eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
        #[arg(value_name = "CAIP10")]
        account: AccountId,
    },
    /// Count the transactions on each chain
    Count,
    /// Tell what has come in and gone out on each chain, in all transactions of some accounts
    Flow {
        /// Whose [default: all linked accounts]; may be given several times
        #[arg(long = "account", value_name = "CAIP10")]
        accounts: Vec<AccountId>,
        /// Only from this time on, such as 2022-09-20 or 2022-09-20T09:31:23Z
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        since: Option<u64>,
        /// Only before this time
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        until: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TxFilterArgs {
    /// Only those from or to this account; may be given several times
    #[arg(long = "account", value_name = "CAIP10")]
    pub(crate) accounts: Vec<AccountId>,
    /// Only those from or to this EVM address, on any chain; may be given several times
    #[arg(long = "address", value_name = "0x..", value_parser = address)]
    pub(crate) addresses: Vec<Address>,
    /// Only those on this chain, such as eip155:1; may be given several times
    #[arg(long = "chain", value_name = "CAIP2", value_parser = chain)]
    pub(crate) chains: Vec<u64>,
    /// Only the one with this hash; may be given several times
    #[arg(long = "hash", value_name = "0x..")]
    pub(crate) hashes: Vec<TxHash>,
    /// Only those of this time or later, such as 2022-09-20 or 2022-09-20T09:31:23Z
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) since: Option<u64>,
    /// Only those before this time
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) until: Option<u64>,
    /// Only those of at least this value
    #[arg(long, value_name = "WEI")]
    pub(crate) min_value: Option<U256>,
    /// Only those of at most this value
    #[arg(long, value_name = "WEI")]
    pub(crate) max_value: Option<U256>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Balance {
    /// Note how much of an asset an account holds, as of now
    Set {
        #[command(flatten)]
        holding: Holding,
        /// How much, in the smallest unit
        amount: U256,
        /// How many of its digits stand behind the point
        #[arg(long, value_name = "N")]
        decimals: Option<u8>,
        /// What the asset is called for short
        #[arg(long)]
        symbol: Option<String>,
    },
    /// List balances with their last updates
    List(OfAccount),
    /// Forget a balance
    Remove(Holding),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Nft {
    /// Note that an account holds an item of a collection, as of now
    Set {
        #[command(flatten)]
        holding: Holding,
        /// How many of it
        #[arg(long, value_name = "N", default_value = "1")]
        amount: U256,
        /// What it is called
        #[arg(long)]
        name: Option<String>,
        /// Where its description lies
        #[arg(long)]
        uri: Option<String>,
    },
    /// List NFTs with their last updates
    List(OfAccount),
    /// Forget an NFT
    Remove(Holding),
}

/// An asset in an account.
#[derive(Debug, Args)]
pub(crate) struct Holding {
    /// Such as eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
    #[arg(value_name = "CAIP10")]
    pub(crate) account: AccountId,
    /// Such as eip155:1/slip44:60, eip155:1/erc20:0x.. or eip155:1/erc721:0x../TOKEN
    #[arg(value_name = "CAIP19")]
    pub(crate) asset: AssetId,
}

#[derive(Debug, Args)]
pub(crate) struct OfAccount {
    /// Only those of this account
    #[arg(long, value_name = "CAIP10")]
    pub(crate) account: Option<AccountId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reward {
    /// Note a reward that was earned; one that is known keeps its date
    Add {
        /// What it is for, by the name its giver gave it
        id: String,
        /// What it is called
        name: String,
        /// What it is, in words
        #[arg(long)]
        description: Option<String>,
        /// Where a picture of it lies
        #[arg(long, value_name = "URL")]
        image: Option<String>,
        /// What kind of reward it is
        #[arg(long)]
        kind: Option<String>,
    },
    /// List rewards, the newest first
    List,
    /// Forget a reward
    Remove {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Visit {
    /// Note a visit of a page
    Add {
        /// The address of the page
        url: String,
        /// When it began [default: now]
        #[arg(long, value_name = "TIME", value_parser = milliseconds)]
        start: Option<u64>,
        /// When it ended [default: when it began]
        #[arg(long, value_name = "TIME", value_parser = milliseconds)]
        end: Option<u64>,
    },
    /// List visits, the newest first
    List(ActivityArgs),
    /// Count visits of each page, or of each origin
    Count {
        /// What is counted
        #[arg(long, value_enum, default_value_t = By::Url)]
        by: By,
        #[command(flatten)]
        filter: ActivityArgs,
    },
}

/// What visits are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The address of the page
    Url,
    /// Its scheme, host and port
    Origin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Click {
    /// Note a click, as of now
    Add {
        /// The address of the page
        url: String,
        /// What was clicked on it
        #[arg(long)]
        element: Option<String>,
    },
    /// List clicks, the newest first
    List(ActivityArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ActivityArgs {
    /// Only on this page
    #[arg(long, conflicts_with = "origin")]
    pub(crate) url: Option<String>,
    /// Only on pages of this origin: scheme, host and port
    #[arg(long)]
    pub(crate) origin: Option<String>,
    /// Only at this time or later, such as 2022-09-20 or 2022-09-20T09:31:23Z
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    pub(crate) since: Option<u64>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    pub(crate) until: Option<u64>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cohort {
    /// Reject cohorts: you are not counted among them
    Reject {
        /// Which ones, by the names their makers gave them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// List the rejected cohorts
    List,
    /// Take a rejection back
    Accept {
        /// Which cohort
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Contract {
    /// Note the latest block of a contract that was read
    Set {
        /// Its chain, such as eip155:1
        #[arg(value_name = "CAIP2", value_parser = chain)]
        chain: u64,
        /// Its address
        #[arg(value_name = "0x..", value_parser = address)]
        contract: Address,
        /// The number of the block
        block: u64,
    },
    /// Print the latest block of a contract that was read
    Get {
        /// Its chain, such as eip155:1
        #[arg(value_name = "CAIP2", value_parser = chain)]
        chain: u64,
        /// Its address
        #[arg(value_name = "0x..", value_parser = address)]
        contract: Address,
    },
    /// List the contracts that were read
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Label {
    /// Set a label
    Set {
        /// tx, addr, pubkey, input, output or xpub
        #[arg(value_name = "TYPE")]
        kind: LabelKind,
        /// Which one: the id of a transaction, an address, TXID:INDEX, a key
        #[arg(value_name = "REF")]
        reference: String,
        /// What it is called
        label: String,
    },
    /// List labels
    List {
        /// Only those of this type
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<LabelKind>,
    },
    /// Forget a label
    Remove {
        /// tx, addr, pubkey, input, output or xpub
        #[arg(value_name = "TYPE")]
        kind: LabelKind,
        /// Which one
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Add the labels of a BIP-329 file, as other wallets export them
    Import {
        /// What to read; "-" is standard input
        file: PathBuf,
    },
    /// Print all labels as a BIP-329 file
    Export,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// JSON: one line for each record, with its kind; CSV: a table of one kind
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// Only this kind [default: all]; may be given several times, but once for CSV
    #[arg(long = "kind", value_enum, required_if_eq("format", "csv"))]
    pub(crate) kinds: Vec<Kind>,
    /// Write into this file, which must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What is exported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line; `import data` takes it back
    Json,
    /// Comma-separated values, for spreadsheets; what would be a formula there has a ' before it
    Csv,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    Profile,
    Accounts,
    Transactions,
    Balances,
    Nfts,
    Rewards,
    Clicks,
    Visits,
    Cohorts,
    Contracts,
    Labels,
}

pub(super) fn chain(text: &str) -> Result<u64, String> {
    parse_chain(text).map_err(|error| error.to_string())
}

/// With its checksum, as in accounts.
fn address(text: &str) -> Result<Address, String> {
    let account = format!("eip155:1:{text}").parse::<AccountId>();
    let account = account.map_err(|error| error.to_string())?;
    account.evm().map(|(_, address)| address).ok_or_else(|| "not an EVM address".to_owned())
}

fn milliseconds(text: &str) -> Result<u64, String> {
    time::parse(text).ok_or_else(|| "not a time such as 2026-01-31T18:00:00Z or 2026-01-31".into())
}

fn seconds(text: &str) -> Result<u64, String> {
    milliseconds(text).map(|ms| ms / 1000)
}
