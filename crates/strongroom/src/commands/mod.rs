//! The commands, one file each, and what they share: the wallet's folder and how to unlock it.

mod accept_copy;
mod account;
mod activity;
mod backup;
mod cloud;
mod cohort;
mod contract;
mod demo;
mod device;
mod digest;
mod evm;
mod export;
mod holding;
mod import;
mod import_data;
mod init;
mod kv;
mod label;
mod man;
mod migrate;
mod migrate_ldk;
mod passphrase;
mod profile;
mod restore;
mod reward;
mod status;
mod succession;
mod tx;
mod verify;
mod watch;

use std::{env, path::PathBuf};

use wallet_persistence::{
    Builder, Error, Secret, Session, Settings, UnlockError, WalletPersistence,
};

use crate::{
    cli::{Cli, Command},
    exit::{Failure, Result},
    output::Output,
    secret,
};

/// Runs what the command line asks for.
pub(crate) async fn run(cli: Cli) -> Result<()> {
    let given = cli.dir.clone();
    let context = Context { dir: folder(cli.dir), out: Output { json: cli.json } };
    match cli.command {
        Command::Init(args) => init::run(&context, args).await,
        Command::Passphrase(command) => passphrase::run(&context, command).await,
        Command::Evm(command) => evm::run(&context, &command),
        Command::Account(command) => account::run(&context, command).await,
        Command::Profile(command) => profile::run(&context, command).await,
        Command::Status => status::run(&context).await,
        Command::Watch { until_backed_up } => watch::run(&context, until_backed_up).await,
        Command::Tx(command) => tx::run(&context, command).await,
        Command::Balance(command) => holding::balance(&context, command).await,
        Command::Nft(command) => holding::nft(&context, command).await,
        Command::Reward(command) => reward::run(&context, command).await,
        Command::Visit(command) => activity::visit(&context, command).await,
        Command::Click(command) => activity::click(&context, command).await,
        Command::Cohort(command) => cohort::run(&context, command).await,
        Command::Contract(command) => contract::run(&context, command).await,
        Command::Label(command) => label::run(&context, command).await,
        Command::Import(command) => import::run(&context, command).await,
        Command::Export(args) => export::run(&context, args).await,
        Command::Kv(command) => kv::run(&context, command).await,
        Command::Cloud(command) => cloud::run(&context, command).await,
        Command::Device(command) => device::run(&context, command).await,
        Command::Backup(command) => backup::run(&context, command).await,
        Command::Restore { clouds, at, accept_stale } => {
            restore::run(&context, clouds, at, accept_stale).await
        }
        Command::Takeover { back } => succession::take_over(&context, back).await,
        Command::Handover => succession::hand_over(&context).await,
        Command::Verify { cloud } => verify::run(&context, cloud).await,
        Command::AcceptCopy => accept_copy::run(&context).await,
        Command::Digest => digest::run(&context).await,
        Command::Migrate(args) => migrate::run(context, given.as_deref(), args).await,
        Command::Completions { shell } => man::completions(&context, shell),
        Command::Man { folder } => man::run(&context, folder.as_deref()),
        Command::Demo => demo::run(&context).await,
    }
}

const DIR: &str = "STRONGROOM_DIR";
const DEFAULT_DIR: &str = "strongroom-wallet";

fn folder(given: Option<PathBuf>) -> PathBuf {
    let from_env = || env::var_os(DIR).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    given.or_else(from_env).unwrap_or_else(|| DEFAULT_DIR.into())
}

/// Where the wallet is and where results go.
#[derive(Debug)]
struct Context {
    dir: PathBuf,
    out: Output,
}

impl Context {
    fn wallet(&self) -> Builder {
        // A command ends before anything could happen in the background.
        let mut settings = Settings::default();
        settings.replicate_every = None;
        WalletPersistence::builder(&self.dir).settings(settings)
    }

    /// A wallet that backs up behind the command.
    fn wallet_that_goes_on(&self) -> Builder {
        WalletPersistence::builder(&self.dir)
    }

    /// A wallet that ends with this command.
    fn wallet_in_memory(&self) -> Builder {
        let mut settings = Settings::default();
        settings.replicate_every = None;
        WalletPersistence::in_memory().settings(settings)
    }

    /// Unlocks the wallet for `work`, and locks it again however that ends.
    async fn unlocked<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T>) -> Result<T> {
        let secret = self.secret().await?;
        self.unlocked_with(&secret, work).await
    }

    /// What opens the wallet: from the file that the environment names, else from a prompt. Nothing
    /// is open while a person types.
    async fn secret(&self) -> Result<Secret> {
        if let Some(secret) = secret::from_env()? {
            return Ok(secret);
        }
        secret::need_terminal()?;
        let has = self.wallet().build().has_passphrase().await.map_err(|e| self.failure(e))?;
        secret::from_prompt(has)
    }

    async fn unlocked_with<T>(
        &self,
        secret: &Secret,
        work: impl AsyncFnOnce(&Session) -> Result<T>,
    ) -> Result<T> {
        self.unlocked_in(self.wallet(), secret, work).await
    }

    async fn unlocked_in<T>(
        &self,
        wallet: Builder,
        secret: &Secret,
        work: impl AsyncFnOnce(&Session) -> Result<T>,
    ) -> Result<T> {
        let unlocked = wallet.build().unlock(secret.clone()).await;
        let session = unlocked.map_err(|e| self.failure(e))?;
        let outcome = work(&session).await;
        let locked = session.lock().await;
        let value = outcome?;
        locked?;
        Ok(value)
    }

    /// What is wrong with the folder names it; what is wrong with a cloud does not.
    fn failure(&self, error: UnlockError) -> Failure {
        match error {
            UnlockError::Other(Error::Backup(_) | Error::Cloud(_) | Error::NoCloud) => error.into(),
            error => Failure::from(error).at(&self.dir),
        }
    }
}
