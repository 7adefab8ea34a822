//! `import`: transactions from files, acknowledged line by line as they become durable.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{Instant, timeout_at},
};
use wallet_persistence::{BadTransaction, EvmTransaction, Imported, Session};

use super::{Context, import_data};
use crate::{
    cli::{Import, ImportFiles},
    exit::{Code, Failure, Result},
};

/// A batch ends with so many transactions ...
const BATCH: usize = 1000;
/// ... or so long after its first ...
const PATIENCE: Duration = Duration::from_millis(200);
/// ... or when the input pauses: whoever waits for an acknowledgement before going on gets it.
const PAUSE: Duration = Duration::from_millis(10);

/// The first `committed` transactions of the arguments are durable.
#[derive(Serialize)]
struct Acknowledged {
    committed: u64,
    last: String,
}

pub(super) async fn run(context: &Context, command: Import) -> Result<()> {
    let (args, read): (ImportFiles, Reader) = match command {
        Import::EthBlock(args) => (args, read_block),
        Import::Txs(args) => (args, read_lines),
        Import::Data { files } => return import_data::run(context, &files).await,
    };
    context
        .unlocked(async |session| {
            let (into, from) = mpsc::channel(2 * BATCH);
            // A thread of its own: it may wait for standard input when all else is done.
            thread::spawn(move || read_all(&args, read, &into));
            store(context, session, from).await
        })
        .await
}

type Item = Result<EvmTransaction>;
type Reader = fn(&Path, Option<u64>, &Sender<Item>) -> Result<()>;

/// Commits what comes, in its order; a failure in the input comes after all that stood before it.
async fn store(context: &Context, session: &Session, mut from: Receiver<Item>) -> Result<()> {
    let mut committed = 0;
    let mut total = Imported::default();
    loop {
        let (batch, end) = next_batch(&mut from).await;
        if let Some(last) = batch.last() {
            let imported = session.import(&batch).await?;
            total.new += imported.new;
            total.known += imported.known;
            committed += batch.len() as u64;
            let ack = Acknowledged { committed, last: last.hash.to_string() };
            let shown = context.out.result(&ack, || format!("committed {committed} {}", ack.last));
            shown.map_err(Failure::loud)?;
        }
        match end {
            None => {}
            Some(Err(failure)) => return Err(failure),
            Some(Ok(())) => {
                let Imported { new, known } = total;
                context.out.note(format_args!("{new} new, {known} known before"));
                return Ok(());
            }
        }
    }
}

/// The next transactions, and how the input ended if it did.
async fn next_batch(from: &mut Receiver<Item>) -> (Vec<EvmTransaction>, Option<Result<()>>) {
    let mut batch = Vec::new();
    let mut next = from.recv().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match next {
            Some(Ok(tx)) => batch.push(tx),
            Some(Err(failure)) => return (batch, Some(Err(failure))),
            None => return (batch, Some(Ok(()))),
        }
        if batch.len() == BATCH {
            return (batch, None);
        }
        let until = deadline.min(Instant::now() + PAUSE);
        next = match timeout_at(until, from.recv()).await {
            Ok(next) => next,
            Err(_) => return (batch, None),
        };
    }
}

/// Reads the files one after another. Where nobody takes what is read, reading ends.
fn read_all(args: &ImportFiles, read: Reader, into: &Sender<Item>) {
    for file in &args.files {
        if let Err(failure) = read(file, args.chain, into) {
            let _ = into.blocking_send(Err(failure));
            return;
        }
    }
}

fn read_lines(file: &Path, chain: Option<u64>, into: &Sender<Item>) -> Result<()> {
    let mut input = BufReader::with_capacity(1 << 18, open(file)?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(|e| unreadable(file, &e))? == 0 {
            break;
        }
        let place = || format!("{}:{number}", shown(file).display());
        let text = std::str::from_utf8(&line).map_err(|e| bad(&place()).because(&e))?.trim();
        if text.is_empty() {
            continue;
        }
        let tx = wallet_persistence::parse_transaction(text, chain);
        if into.blocking_send(Ok(tx.map_err(|e| refused(&place(), &e))?)).is_err() {
            break;
        }
    }
    Ok(())
}

fn read_block(file: &Path, chain: Option<u64>, into: &Sender<Item>) -> Result<()> {
    let mut text = String::new();
    open(file)?.read_to_string(&mut text).map_err(|e| unreadable(file, &e))?;
    let place = shown(file).display().to_string();
    let block = wallet_persistence::parse_block(&text, chain).map_err(|e| refused(&place, &e))?;
    for tx in block {
        if into.blocking_send(Ok(tx)).is_err() {
            break;
        }
    }
    Ok(())
}

fn open(file: &Path) -> Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(file).map_err(|e| unreadable(file, &e))?))
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::unreadable(shown(file).display(), error)
}

fn refused(place: &str, error: &BadTransaction) -> Failure {
    bad(place).because(error)
}

fn bad(place: &str) -> Failure {
    let help = "correct it and import again: what came before is stored and stays";
    Failure::new(Code::BadInput, place, help)
}

fn shown(file: &Path) -> PathBuf {
    if file == Path::new("-") { "standard input".into() } else { file.to_owned() }
}
