//! `import data`: what `export` wrote, acknowledged batch by batch as it becomes durable.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wallet_persistence::{
    Account, BadData, BadProfileValue, Balance, Click, ContractProgress, EarnedReward, Error,
    EvmTransaction, Fields, Label, Nft, ObjectStore, ProfileField, Record, RecordKey,
    RejectedCohort, Session, SiteVisit, Transaction,
};

use super::{
    Context,
    export::{Field, name},
};
use crate::{
    cli::Kind,
    exit::{Code, Failure, Result},
};

/// A batch ends with so many records.
const BATCH: u64 = 1000;

/// The first `committed` records of the arguments are durable.
#[derive(Serialize)]
struct Acknowledged {
    committed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    kind: &'a str,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// What becomes durable in one step.
struct Batch {
    changes: Transaction,
    /// What it changes: of two lines about one thing the later one counts.
    keys: BTreeSet<(&'static str, RecordKey)>,
}

/// Every object store, so that a batch may hold records of all kinds.
struct Stores {
    fields: Fields,
    accounts: ObjectStore<Account>,
    transactions: ObjectStore<EvmTransaction>,
    balances: ObjectStore<Balance>,
    nfts: ObjectStore<Nft>,
    rewards: ObjectStore<EarnedReward>,
    clicks: ObjectStore<Click>,
    visits: ObjectStore<SiteVisit>,
    cohorts: ObjectStore<RejectedCohort>,
    contracts: ObjectStore<ContractProgress>,
    labels: ObjectStore<Label>,
}

pub(super) async fn run(context: &Context, files: &[PathBuf]) -> Result<()> {
    context
        .unlocked(async |session| {
            let stores = Stores::open(session).await?;
            let mut import = Import { context, session, stores, committed: 0, same: 0 };
            for file in files {
                import.file(file).await?;
            }
            let (committed, same) = (import.committed, import.same);
            context.out.note(format_args!("{} written, {same} known before", committed - same));
            Ok(())
        })
        .await
}

struct Import<'a> {
    context: &'a Context,
    session: &'a Session,
    stores: Stores,
    committed: u64,
    same: u64,
}

impl Import<'_> {
    async fn file(&mut self, file: &Path) -> Result<()> {
        let shown = if file == Path::new("-") { Path::new("standard input") } else { file };
        let unreadable = |e: io::Error| Failure::unreadable(shown.display(), &e);
        let mut input: Box<dyn BufRead> = match file == Path::new("-") {
            true => Box::new(BufReader::new(io::stdin())),
            false => Box::new(BufReader::new(File::open(file).map_err(unreadable)?)),
        };
        let mut line = String::new();
        let mut number = 0_u64;
        let mut bad = None;
        while bad.is_none() {
            let mut batch = Batch { changes: self.session.transaction()?, keys: BTreeSet::new() };
            let mut staged = 0;
            while staged < BATCH && bad.is_none() {
                line.clear();
                if input.read_line(&mut line).map_err(unreadable)? == 0 {
                    break;
                }
                number += 1;
                if line.trim().is_empty() {
                    continue;
                }
                match self.stores.stage(self.session, &mut batch, line.trim()) {
                    Ok(is_new) => {
                        staged += 1;
                        self.same += u64::from(!is_new);
                    }
                    Err(failure) => bad = Some(failure.at(&place(shown, number))),
                }
            }
            if staged == 0 {
                break;
            }
            let commit = batch.changes.submit().map_err(Error::from)?;
            commit.await.map_err(Error::from)?;
            self.committed += staged;
            let ack = Acknowledged { committed: self.committed };
            let text = format!("committed {}", self.committed);
            self.context.out.result(&ack, || text).map_err(Failure::loud)?;
        }
        bad.map_or(Ok(()), Err)
    }
}

fn place(file: &Path, number: u64) -> PathBuf {
    format!("{}:{number}", file.display()).into()
}

impl Stores {
    async fn open(session: &Session) -> Result<Self, Error> {
        Ok(Self {
            fields: session.fields()?,
            accounts: session.records().await?,
            transactions: session.records().await?,
            balances: session.records().await?,
            nfts: session.records().await?,
            rewards: session.records().await?,
            clicks: session.records().await?,
            visits: session.records().await?,
            cohorts: session.records().await?,
            contracts: session.records().await?,
            labels: session.records().await?,
        })
    }

    /// Adds the record of a line to the batch; `false` if the same is here already.
    fn stage(&self, session: &Session, batch: &mut Batch, line: &str) -> Result<bool> {
        let Line { kind, record } = parse(line)?;
        let kinds = Kind::value_variants();
        let kind = kinds
            .iter()
            .find(|known| name(**known) == kind)
            .ok_or_else(|| bad(format!("there is no kind {kind:?}")))?;
        let json = record.get();
        match kind {
            Kind::Profile => self.stage_field(session, batch, &parse(json)?),
            Kind::Accounts => put(batch, &self.accounts, json, Account::checked),
            Kind::Transactions => put(batch, &self.transactions, json, Ok),
            Kind::Balances => put(batch, &self.balances, json, Balance::checked),
            Kind::Nfts => put(batch, &self.nfts, json, Nft::checked),
            Kind::Rewards => put(batch, &self.rewards, json, EarnedReward::checked),
            Kind::Clicks => put(batch, &self.clicks, json, Click::checked),
            Kind::Visits => put(batch, &self.visits, json, SiteVisit::checked),
            Kind::Cohorts => put(batch, &self.cohorts, json, RejectedCohort::checked),
            Kind::Contracts => put(batch, &self.contracts, json, Ok),
            Kind::Labels => put(batch, &self.labels, json, Label::checked),
        }
    }

    fn stage_field(&self, session: &Session, batch: &mut Batch, given: &Field) -> Result<bool> {
        let refused = |error: BadProfileValue| bad(error.to_string());
        let field: ProfileField = given.field.parse().map_err(refused)?;
        let value = session.checked_profile(field, &given.value).map_err(|error| match error {
            Error::BadProfileValue(error) => refused(error),
            other => other.into(),
        })?;
        let known: Option<String> = self.fields.get(field.name()).map_err(Error::from)?;
        let is_again = !batch.keys.insert(("", field.name().into()));
        let is_new = is_again || known.as_deref() != Some(value);
        if is_new {
            batch.changes.set_field(&self.fields, field.name(), value).map_err(Error::from)?;
        }
        Ok(is_new)
    }
}

fn put<R: Record + PartialEq>(
    batch: &mut Batch,
    store: &ObjectStore<R>,
    json: &str,
    checked: impl Fn(R) -> Result<R, BadData>,
) -> Result<bool> {
    // What nobody could have noted by hand is not taken from a file either.
    let record = checked(parse(json)?).map_err(|error| bad(error.to_string()))?;
    let known = store.get(record.key()).map_err(Error::from)?;
    let is_again = !batch.keys.insert((R::STORE, record.key()));
    let is_new = is_again || known.is_none_or(|known| known != record);
    if is_new {
        batch.changes.put(store, &record).map_err(Error::from)?;
    }
    Ok(is_new)
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| bad(format!("not what export writes: {error}")))
}

fn bad(what: String) -> Failure {
    let help = "correct it and import again: what came before is stored and stays";
    Failure::new(Code::BadInput, what, help)
}
