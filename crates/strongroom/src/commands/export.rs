//! `export`: what the wallet holds, unencrypted, for other programs and for `import data`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wallet_persistence::{
    Account, Balance, Click, ContractProgress, EarnedReward, Error, EvmTransaction, Label, Nft,
    ProfileField, Query, Record, RejectedCohort, Session, SiteVisit, records,
};

use super::Context;
use crate::{
    cli::{Export, Format, Kind},
    exit::{Code, Failure, Result},
};

/// A field of the profile, as it is exported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) field: String,
    pub(super) value: String,
}

pub(super) async fn run(context: &Context, args: Export) -> Result<()> {
    if args.format == Format::Csv && args.kinds.len() > 1 {
        return Err(Failure::new(
            Code::Usage,
            "a table of comma-separated values has one kind of rows",
            "give --kind once, or export as JSON",
        ));
    }
    let mut kinds = args.kinds;
    if kinds.is_empty() {
        kinds = Kind::value_variants().to_vec();
    }
    kinds.sort_unstable();
    kinds.dedup();
    context
        .unlocked(async |session| {
            let Some(path) = args.output else {
                let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
                let mut sink = Sink { out, format: args.format };
                write(session, &kinds, &mut sink).await?;
                return sink.out.flush().map_err(|e| Failure::output(&e));
            };
            let file = File::create_new(&path).map_err(|e| unwritable(&path, &e))?;
            let mut sink = Sink { out: BufWriter::new(file), format: args.format };
            let written = write(session, &kinds, &mut sink).await;
            let synced = sink.out.flush().and_then(|()| sink.out.get_ref().sync_all());
            if written.is_err() || synced.is_err() {
                // Half an export would look like one.
                let _ = fs::remove_file(&path);
            }
            let count = written?;
            synced.map_err(|e| unwritable(&path, &e))?;
            context.out.note(format_args!("wrote {count} records into {}", path.display()));
            Ok(())
        })
        .await
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let (code, help) = match error.kind() {
        io::ErrorKind::AlreadyExists => (Code::Exists, "name another file, or move that one away"),
        _ => (Code::NotWritable, "check the folder and its permissions"),
    };
    Failure::new(code, format!("cannot write {}", path.display()), help).because(error)
}

struct Sink<W> {
    out: W,
    format: Format,
}

/// Writes all records of these kinds; how many.
async fn write<W: Write>(session: &Session, kinds: &[Kind], sink: &mut Sink<W>) -> Result<u64> {
    let mut count = 0;
    for kind in kinds {
        sink.head(*kind)?;
        count += match kind {
            Kind::Profile => profile(session, sink)?,
            Kind::Accounts => all::<Account, _>(session, *kind, sink).await?,
            Kind::Transactions => all::<EvmTransaction, _>(session, *kind, sink).await?,
            Kind::Balances => all::<Balance, _>(session, *kind, sink).await?,
            Kind::Nfts => all::<Nft, _>(session, *kind, sink).await?,
            Kind::Rewards => all::<EarnedReward, _>(session, *kind, sink).await?,
            Kind::Clicks => all::<Click, _>(session, *kind, sink).await?,
            Kind::Visits => all::<SiteVisit, _>(session, *kind, sink).await?,
            Kind::Cohorts => all::<RejectedCohort, _>(session, *kind, sink).await?,
            Kind::Contracts => all::<ContractProgress, _>(session, *kind, sink).await?,
            Kind::Labels => all::<Label, _>(session, *kind, sink).await?,
        };
    }
    Ok(count)
}

async fn all<R: Record, W: Write>(
    session: &Session,
    kind: Kind,
    sink: &mut Sink<W>,
) -> Result<u64> {
    let store = session.records::<R>().await?;
    let mut count = 0;
    for record in store.query(&Query::all()).map_err(Error::from)? {
        sink.record(kind, &*record)?;
        count += 1;
    }
    Ok(count)
}

/// What is set; an age that follows from a birthday is not.
fn profile<W: Write>(session: &Session, sink: &mut Sink<W>) -> Result<u64> {
    let fields = session.fields()?;
    let mut count = 0;
    for field in ProfileField::ALL {
        let value: Result<_, records::Error> = fields.get(field.name());
        if let Some(value) = value.map_err(Error::from)? {
            sink.record(Kind::Profile, &Field { field: field.name().to_owned(), value })?;
            count += 1;
        }
    }
    Ok(count)
}

#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'a str,
    record: &'a T,
}

/// What a kind is called in an export.
pub(super) fn name(kind: Kind) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl<W: Write> Sink<W> {
    fn head(&mut self, kind: Kind) -> Result<()> {
        match self.format {
            Format::Json => Ok(()),
            Format::Csv => self.row(columns(kind).iter().map(|name| (*name).to_owned())),
        }
    }

    fn record(&mut self, kind: Kind, record: &impl Serialize) -> Result<()> {
        let json = |e: serde_json::Error| Failure::output(&e.into());
        if self.format == Format::Json {
            let line = Line { kind: &name(kind), record };
            let line = serde_json::to_string(&line).map_err(json)?;
            return writeln!(self.out, "{line}").map_err(|e| Failure::output(&e));
        }
        let record = serde_json::to_value(record).map_err(json)?;
        let cell = |name: &&str| match record.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        self.row(columns(kind).iter().map(cell))
    }

    /// A row after RFC 4180. A cell that a spreadsheet would take for a formula (names come from
    /// strangers) has a `'` before it.
    fn row(&mut self, cells: impl Iterator<Item = String>) -> Result<()> {
        let inert = |cell: String| match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => format!("'{cell}"),
            false => cell,
        };
        let quoted = |cell: String| match cell.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        };
        let row: Vec<String> = cells.map(inert).map(quoted).collect();
        write!(self.out, "{}\r\n", row.join(",")).map_err(|e| Failure::output(&e))
    }
}

/// The columns of a table: the members of the records.
fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Profile => &["field", "value"],
        Kind::Accounts => &["id", "label", "added"],
        Kind::Transactions => &[
            "chainId",
            "hash",
            "blockNumber",
            "timestamp",
            "from",
            "to",
            "value",
            "gasPrice",
            "nonce",
            "input",
        ],
        Kind::Balances => &["account", "asset", "amount", "decimals", "symbol", "updated"],
        Kind::Nfts => &["account", "asset", "amount", "name", "uri", "updated"],
        Kind::Rewards => &["id", "name", "description", "image", "kind", "earned"],
        Kind::Clicks => &["id", "url", "origin", "element", "time"],
        Kind::Visits => &["id", "url", "origin", "start", "end"],
        Kind::Cohorts => &["id", "rejected"],
        Kind::Contracts => &["chainId", "contract", "blockNumber", "updated"],
        Kind::Labels => &["type", "ref", "label", "origin", "spendable"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        let mut sink = Sink { out: Vec::new(), format: Format::Csv };
        let cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "a=1", "=HYPERLINK(\"x\",1)"];
        sink.row(cells.iter().map(ToString::to_string)).unwrap();
        let text = String::from_utf8(sink.out).unwrap();
        let expected = "'=1+1,'+1,'-1,'@SUM(A1),'\tx,\"'\rx\",a=1,\"'=HYPERLINK(\"\"x\"\",1)\"\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut sink = Sink { out: Vec::new(), format: Format::Csv };
        let cells = ["plain", "", "a,b", "say \"hi\"", "two\nlines"];
        sink.row(cells.iter().map(ToString::to_string)).unwrap();
        let text = String::from_utf8(sink.out).unwrap();
        assert_eq!(text, "plain,,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n");
    }
}
