//! The command line: every command, argument and option.

mod clouds;
mod data;
mod kv;
mod values;

use std::{env, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use clap_complete::Shell;
use wallet_persistence::{AccountId, CloudUrl, ProfileField, RestoreAt};

pub(crate) use self::{
    clouds::{Backup, Cloud, Device},
    data::{
        ActivityArgs, Balance, By, Click, Cohort, Contract, Export, Format, Kind, Label, Nft,
        OfAccount, Reward, Tx, TxFilterArgs, Visit,
    },
    kv::{Class, ClassArgs, Entry, Kv, Namespace},
    values::Source,
};
use crate::{
    exit::{self, Code, Failure},
    signature,
};

/// Keeps a wallet's data: durable, encrypted, backed up to clouds of your choice, restorable from
/// 24 words.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, after_help = exit::HELP, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The wallet's folder, or file [default: $STRONGROOM_DIR, else ./strongroom-wallet]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print results, and errors, as JSON: one value a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new wallet; prints its 24 words, once
    Init(Init),
    /// The passphrase that opens the wallet on this device
    #[command(subcommand)]
    Passphrase(Passphrase),
    /// The signature of an EVM account as the key of a wallet, instead of words
    #[command(subcommand)]
    Evm(Evm),
    /// Tell on one screen what the wallet holds, whether it is safe, and what to do if not
    Status,
    /// Keep backing up and merging what other devices put, and tell what happens, until Ctrl-C
    ///
    /// Other commands find the wallet in use meanwhile.
    Watch {
        /// End as soon as everything is in the clouds
        #[arg(long)]
        until_backed_up: bool,
    },
    /// Linked accounts
    #[command(subcommand)]
    Account(Account),
    /// Profile fields
    #[command(subcommand)]
    Profile(Profile),
    /// Transactions
    #[command(subcommand)]
    Tx(Tx),
    /// Balances of accounts
    #[command(subcommand)]
    Balance(Balance),
    /// NFTs of accounts
    #[command(subcommand)]
    Nft(Nft),
    /// Earned rewards
    #[command(subcommand)]
    Reward(Reward),
    /// Visits of sites
    #[command(subcommand)]
    Visit(Visit),
    /// Clicks
    #[command(subcommand)]
    Click(Click),
    /// Cohorts you do not want to be counted among
    #[command(subcommand)]
    Cohort(Cohort),
    /// How far the events of contracts were read
    #[command(subcommand)]
    Contract(Contract),
    /// Labels of transactions, addresses and keys, as wallets exchange them (BIP-329)
    #[command(subcommand)]
    Label(Label),
    /// Add transactions, or what was exported; each line of output says how much is durable
    #[command(subcommand)]
    Import(Import),
    /// Print the profile and all records of the wallet itself, unencrypted; not entries of your own
    /// (`kv`), nor records and fields of other applications
    Export(Export),
    /// Entries of your own
    #[command(subcommand)]
    Kv(Kv),
    /// The clouds that backups go to
    #[command(subcommand, after_help = values::kinds_of_clouds())]
    Cloud(Cloud),
    /// The devices of the wallet
    #[command(subcommand)]
    Device(Device),
    /// Backups in the wallet's clouds
    #[command(subcommand)]
    Backup(Backup),
    /// Bring a wallet back from its words (or key) and a cloud alone
    Restore {
        /// The cloud that has the backup, such as dir:PATH; `strongroom cloud --help` lists all
        /// kinds; several are compared
        #[arg(long = "cloud", value_name = "URL", required = true, value_parser = values::cloud)]
        clouds: Vec<CloudUrl>,
        /// The newest restore point at or before: a time such as 2026-01-31T18:00:00Z or
        /// 2026-01-31, or the number of a change [default: the newest there is]
        #[arg(long, value_name = "TIME|SEQUENCE", value_parser = values::at, default_value = "newest",
            hide_default_value = true)]
        at: RestoreAt,
        /// Restore although more is known to exist: the newest restore point lies behind what a head
        /// in a cloud speaks of, or --at names an older one of a wallet with entries of your own
        ///
        /// Such a wallet is for looking at: what came later is lost there, and "takeover" refuses
        /// where the fence says that there is more. Never start a Lightning node from it: its
        /// channels would be in a state that was revoked, and their money could be taken.
        #[arg(long)]
        accept_stale: bool,
    },
    /// Make this device the one that writes data with a single writer (entries of your own)
    ///
    /// Do it when the other device has stopped for good, or is lost: what it still writes of that
    /// kind does not count from then on. A restored wallet takes such data only after this. If the
    /// other device has written more than was restored here, nothing is done.
    Takeover {
        /// Take a wallet back that was handed over from this folder
        #[arg(long)]
        back: bool,
    },
    /// Back everything up, then seal this folder: it refuses to run, and another device can take over
    Handover,
    /// Read everything and report damage; exit code 4 if there is any
    Verify {
        /// Also read everything in the clouds, and compare this device with its newest backup
        #[arg(long)]
        cloud: bool,
    },
    /// Take a wallet in a SQLite file as it is, although its log is missing
    ///
    /// Such a file is a copy that SQLite's own tools have made of an open wallet, or one that another
    /// program was the last to read after a crash: SQLite has moved the log into it then, and nothing is
    /// lost. A file whose log was lost, with the newest changes, looks the same: only you can know.
    /// Everything in the file is checked before. Of a wallet and its copy use only one, and start no
    /// Lightning node from what may be an old state.
    AcceptCopy,
    /// Print one hash over everything the wallet holds
    Digest,
    /// Move the wallet to another place and kind of store, as it is, or a node on LDK into a wallet;
    /// can be repeated until it is done
    ///
    /// A wallet is moved without its words. With --from everything that a Lightning node keeps in a
    /// folder, or in a file of ldk-node, goes into the wallet's own entries, in the order in which it was
    /// written, and is compared by hash; at the end the folder or file is sealed: it gets another name,
    /// and a note takes its place, so that the node cannot start from it any more. End the node before.
    Migrate(Migrate),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command
    Man {
        /// Write the pages into this folder
        #[arg(long = "to", value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Watch a wallet survive the loss of its device, in a temporary folder
    Demo,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// ldk-fs:DIR or ldk-fs-v2:DIR, the folder of LDK's `FilesystemStore` or `FilesystemStoreV2`, or
    /// ldk-node-sqlite:FILE, such as ldk_node_data.sqlite; --to is then the folder of a wallet without
    /// entries, as `init` makes it
    #[arg(long, value_name = "SOURCE", value_parser = values::source)]
    pub(crate) from: Option<Source>,
    /// The node's seed, if it lies beside that folder or file: becomes the entry keys_seed with the others
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) seed_file: Option<PathBuf>,
    /// sqlite:FILE, a wallet that is one file, or fs:DIR, a folder with plain files; with --from the
    /// wallet
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: PathBuf,
    /// Give up a move that can never end, and move to --to instead: the wallet says that it was moved,
    /// and there is none, such as when the new one was removed before it had its name
    ///
    /// Make sure that the wallet does not live under another name and was not moved on from there:
    /// else there are two that believe to be one device, one of them old, and a Lightning node started
    /// from the old one loses its channels' money. Refused if there is a wallet at the place it names.
    #[arg(long, conflicts_with = "from")]
    pub(crate) abandon_move: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where backups go, such as dir:PATH; `strongroom cloud --help` lists all kinds; may be given
    /// several times
    #[arg(long = "cloud", value_name = "URL", value_parser = values::cloud)]
    pub(crate) clouds: Vec<CloudUrl>,
    /// What keeps the data; "mem" keeps nothing on this device, only in the clouds
    #[arg(long, value_name = "STORE", value_enum, default_value_t = Store::Fs)]
    pub(crate) store: Store,
    /// Use the words in this file
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) mnemonic_file: Option<PathBuf>,
    /// Use the key in this file: 64 hexadecimal characters
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Use the signature of an EVM account; give two files, signed one after the other
    #[arg(long = "evm-signature-file", value_name = "FILE",
          conflicts_with_all = ["key_file", "mnemonic_file"])]
    pub(crate) evm_signature_files: Vec<PathBuf>,
    /// Also set the passphrase in this file, as `passphrase set` does
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not ask the clouds whether they hold a backup of existing words already
    #[arg(long)]
    pub(crate) offline: bool,
}

/// The stores a wallet can be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// Plain files, one for each value
    Fs,
    /// One SQLite file
    Sqlite,
    /// Memory, gone at the end
    Mem,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Passphrase {
    /// Set the passphrase, or change it; a lost device still needs the words
    Set {
        /// The new passphrase is the one line of this file [default: asked for]
        #[arg(long, value_name = "FILE")]
        new_file: Option<PathBuf>,
    },
    /// Remove the passphrase; asks for the words (or the key), which alone open the wallet then
    Remove,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Evm {
    /// Print the text that the account signs; whoever has the signature has the wallet
    Text {
        /// The account's address
        #[arg(long, value_name = "0x..")]
        address: String,
        /// The domain in the text; one of your own goes first in the signature file
        #[arg(long, value_name = "DOMAIN", default_value = signature::DOMAIN)]
        domain: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Link an account, or change its label
    Add {
        /// Such as eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
        #[arg(value_name = "CAIP10")]
        id: AccountId,
        /// What you call it
        #[arg(long)]
        label: Option<String>,
    },
    /// List the linked accounts
    List,
    /// Unlink an account; its transactions stay
    Remove {
        /// Such as eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
        #[arg(value_name = "CAIP10")]
        id: AccountId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// Set a field
    Set {
        /// age, birthday, email, family_name, gender, given_name or location
        field: ProfileField,
        /// Its value
        value: String,
    },
    /// Print a field; an age that is not set follows from the birthday
    Get {
        /// age, birthday, email, family_name, gender, given_name or location, or a field of an
        /// application
        #[arg(value_parser = values::field)]
        field: String,
        /// What it was at an older restore point, read from the clouds: the newest one at or before
        /// a time such as 2026-01-31T18:00:00Z or 2026-01-31, or the number of a change
        #[arg(long, value_name = "TIME|SEQUENCE", value_parser = values::at)]
        at: Option<RestoreAt>,
    },
    /// List what a field has held at the restore points in the clouds, newest first
    ///
    /// Nothing is brought back, and "get" without --at never answers an old value. Reads all
    /// segments that are kept, and a part of a dump.
    History {
        /// age, birthday, email, family_name, gender, given_name or location, or a field of an
        /// application
        #[arg(value_parser = values::field)]
        field: String,
    },
    /// Forget a field
    Clear {
        /// age, birthday, email, family_name, gender, given_name or location
        field: ProfileField,
    },
    /// List the fields that are set
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Answers to eth_getBlockByNumber with full transactions
    EthBlock(ImportFiles),
    /// JSON lines, one transaction each
    Txs(ImportFiles),
    /// What `export` wrote as JSON; a record that is here already is replaced if it differs
    Data {
        /// What to read; "-" is standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportFiles {
    /// The chain of transactions that do not name theirs, such as eip155:1
    #[arg(long, value_name = "CAIP2", value_parser = data::chain)]
    pub(crate) chain: Option<u64>,
    /// What to read; "-" is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Reads the command line. What is left to do after help or wrong use is to exit.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if !wanted && env::args_os().any(|arg| arg == "--json") {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            let message = first.strip_prefix("error: ").unwrap_or(first);
            return Failure::new(Code::Usage, message, "see `strongroom --help`").report(true);
        }
        // A closed output is no reason to fail.
        let _ = error.print();
        if wanted { ExitCode::SUCCESS } else { ExitCode::from(Code::Usage as u8) }
    })
}
