//! `label`: what the person calls things, and BIP-329 files.

use std::{fs, io::Read as _, path::Path};

use serde::Serialize;
use wallet_persistence as wp;
use wallet_persistence::LabelKind;

use super::{Context, holding::shown};
use crate::{
    cli::Label,
    exit::{Code, Failure, Result},
    output::row,
};

#[derive(Serialize)]
struct Removed<'a> {
    #[serde(rename = "type")]
    kind: LabelKind,
    #[serde(rename = "ref")]
    reference: &'a str,
}

pub(super) async fn run(context: &Context, command: Label) -> Result<()> {
    // Files are read before anything is opened.
    let file = match &command {
        Label::Import { file } => Some(read(file)?),
        _ => None,
    };
    context
        .unlocked(async |session| match &command {
            Label::Set { kind, reference, label } => {
                let label = wp::Label::new(*kind, reference.as_str(), label.as_str());
                session.put_labels([label.clone()]).await?;
                context.out.result(&label, || format!("set the label of {kind} {reference}"))
            }
            Label::List { kind } => shown(context, &session.labels(*kind)?, |label| {
                row([&label.kind, &label.reference, &label.label.as_deref().unwrap_or("-")])
            }),
            Label::Remove { kind, reference } => {
                if !session.remove_label(*kind, reference).await? {
                    return Err(Failure::new(
                        Code::Missing,
                        format!("{kind} {reference} has no label"),
                        "`strongroom label list` shows those there are",
                    ));
                }
                let removed = Removed { kind: *kind, reference };
                context.out.result(&removed, || format!("removed the label of {kind} {reference}"))
            }
            Label::Import { .. } => {
                let imported = session.import_labels(file.as_deref().unwrap_or_default()).await?;
                context.out.result(&imported, || {
                    let mut text = format!(
                        "{} labels written, {} known before, {} lines were no labels",
                        imported.written, imported.same, imported.passed_over
                    );
                    if imported.other_origin > 0 {
                        text += &format!(
                            "\n{} lines were NOT taken: the transaction has a label of another \
                             origin",
                            imported.other_origin
                        );
                    }
                    text
                })
            }
            Label::Export => context.out.bytes(session.export_labels()?.as_bytes()),
        })
        .await
}

fn read(file: &Path) -> Result<String> {
    let outcome = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    outcome.map_err(|e| Failure::unreadable(file.display(), &e))
}
