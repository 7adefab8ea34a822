//! `demo`: a wallet survives the loss of its device, on a real block of Ethereum.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use wallet_persistence::{
    AccountId, Batch, CloudUrl, Error, EvmTransaction, Key, Namespace, ProfileField, RootSecret,
    Secret, Session, Words, parse_block,
};

use super::Context;
use crate::{
    exit::{Code, Failure, Result},
    output::{Output, bytes, row, table},
};

/// Block 15571241 of Ethereum's main network, as a node answers `eth_getBlockByNumber`.
const BLOCK: &str = include_str!("../../data/eth-mainnet-block-15571241.json");

/// What a person reads before the table. The steps tell the rest.
const TITLE: &str = "A wallet in a temporary folder, a cloud in another one, and a lost device:";

#[derive(Serialize)]
struct Story {
    steps: Vec<Step>,
    digest_before: String,
    digest_after: String,
    equal: bool,
}

#[derive(Serialize)]
struct Step {
    step: &'static str,
    what: String,
    ms: u64,
    bytes: u64,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| {
        Failure::new(Code::NotWritable, "no temporary folder", "set TMPDIR").because(&e)
    })?;
    let story = Demo::new(folder.path())?.play().await?;
    context.out.result(&story, || story.told())?;
    if story.equal {
        return Ok(());
    }
    Err(Failure::new(Code::Damage, "the restored wallet differs", "please report this"))
}

struct Demo {
    /// Works on a folder of its own, whatever the command line says.
    context: Context,
    cloud: CloudUrl,
    steps: Vec<Step>,
    begun: Instant,
}

/// What a wallet shows of itself.
#[derive(PartialEq, Eq)]
struct View {
    digest: String,
    listings: Vec<Vec<EvmTransaction>>,
}

impl Demo {
    fn new(folder: &Path) -> Result<Self> {
        let cloud = CloudUrl::parse(&format!("dir:{}", folder.join("cloud").display()));
        Ok(Self {
            context: Context { dir: folder.join("wallet"), out: Output { json: false } },
            cloud: cloud.map_err(Error::from)?,
            steps: Vec::new(),
            begun: Instant::now(),
        })
    }

    async fn play(mut self) -> Result<Story> {
        let words = self.make().await?;
        let accounts = self.fill(&words).await?;
        let before = self.view(&words, &accounts).await?;
        self.done("digest", format!("before the loss: {}", before.digest), 0);

        let lost = size(&self.context.dir).and_then(|size| {
            fs::remove_dir_all(&self.context.dir)?;
            Ok(size)
        });
        let lost = lost.map_err(|e| Failure::unreadable("the wallet's folder", &e))?;
        self.done("lose the device", "the wallet's folder is deleted", lost);

        let wallet = self.context.wallet().cloud_url(self.cloud.clone()).build();
        let report = wallet.restore(&root(&words)?, |_| ()).await?;
        let what = format!("{} changes, from the words and the cloud alone", report.changes);
        self.done("restore", what, report.bytes);

        let after = self.view(&words, &accounts).await?;
        self.done("digest", format!("after the restore: {}", after.digest), 0);
        let equal = before == after;
        let verdict = if equal { "digests and listings are equal" } else { "THEY DIFFER" };
        self.done("compare", verdict, 0);
        Ok(Story {
            steps: self.steps,
            digest_before: before.digest,
            digest_after: after.digest,
            equal,
        })
    }

    /// A new wallet. Of its secret only the words are kept, as a person would keep them.
    async fn make(&mut self) -> Result<String> {
        self.begun = Instant::now();
        let words = Words::generate()
            .map_err(|e| Failure::new(Code::Other, "no new words", "try again").because(&e))?;
        let text = words.to_text().to_string();
        let wallet = self.context.wallet().cloud_url(self.cloud.clone()).build();
        wallet.create(&root(&text)?).await?.lock().await?;
        self.done("make a wallet", "24 new words", 0);
        Ok(text)
    }

    async fn fill(&mut self, words: &str) -> Result<Vec<AccountId>> {
        let session = self.context.wallet().build().unlock(&root(words)?).await?;
        let transactions = parse_block(BLOCK, None).map_err(|e| {
            Failure::new(Code::BadInput, "the block", "please report this").because(&e)
        })?;
        self.begun = Instant::now();
        let imported = session.import(&transactions).await?;
        let what = format!("{} transactions of a real Ethereum block", imported.new);
        self.done("import", what, BLOCK.len() as u64);

        let accounts = add_accounts(&session, &transactions).await?;
        self.done("add accounts", format!("{} that occur in the block", accounts.len()), 0);

        session.set_profile(ProfileField::GivenName, "Ada").await?;
        session.set_profile(ProfileField::Location, "London").await?;
        self.done("fill the profile", "given name and location", 0);

        let batch = Batch::new().put(&Namespace::new("demo", "")?, &Key::new("block")?, BLOCK);
        session.kv()?.submit(batch).await.map_err(Error::from)?;
        self.done("store an entry", "the whole block, as it came", BLOCK.len() as u64);

        let report = session.post_backup().await?;
        let what = format!("{} sealed objects into a directory cloud", report.objects);
        self.done("back up", what, report.bytes);
        session.lock().await?;
        self.begun = Instant::now();
        Ok(accounts)
    }

    async fn view(&self, words: &str, accounts: &[AccountId]) -> Result<View> {
        let view = async |session: &Session| {
            let listings = accounts.iter().map(|id| Ok(session.transactions(Some(id), 1000)?));
            let listings = listings.collect::<Result<Vec<_>>>()?;
            Ok(View { digest: session.digest().await?.hex, listings })
        };
        self.context.unlocked_with(&Secret::Root(root(words)?), view).await
    }

    /// Notes a step that took from the end of the one before until now.
    fn done(&mut self, step: &'static str, what: impl Into<String>, bytes: u64) {
        let took: Duration = self.begun.elapsed();
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.steps.push(Step { step, what: what.into(), ms, bytes });
        self.begun = Instant::now();
    }
}

impl Story {
    fn told(&self) -> String {
        let mut rows = vec![row([&"STEP", &"TIME", &"BYTES", &"WHAT HAPPENED"])];
        for step in &self.steps {
            let size = if step.bytes == 0 { "-".to_owned() } else { bytes(step.bytes) };
            rows.push(row([&step.step, &format_args!("{} ms", step.ms), &size, &step.what]));
        }
        format!("{TITLE}\n\n{}", table(&rows))
    }
}

fn root(words: &str) -> Result<RootSecret> {
    let words = Words::parse(words)
        .map_err(|e| Failure::new(Code::WrongKey, "the words", "please report this").because(&e))?;
    Ok(RootSecret::from_words(&words))
}

/// Links the first three senders.
async fn add_accounts(session: &Session, from: &[EvmTransaction]) -> Result<Vec<AccountId>> {
    let mut accounts: Vec<AccountId> = Vec::new();
    for tx in from {
        let id: AccountId =
            format!("eip155:{}:{}", tx.chain_id, tx.from).parse().map_err(Error::from)?;
        if accounts.len() < 3 && !accounts.contains(&id) {
            session.add_account(id.clone(), Some("from the block")).await?;
            accounts.push(id);
        }
    }
    Ok(accounts)
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}
