//! `verify`: read everything, report damage.

use serde::Serialize;
use wallet_persistence::{Report, Severity};

use super::Context;
use crate::{
    exit::{Code, Failure, Result},
    output::bytes,
    progress::Progress,
};

#[derive(Serialize)]
struct Json<'a> {
    damaged: bool,
    local: Place<'a>,
    clouds: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    /// The address of the cloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_points: Option<u64>,
    /// Keys of this device that were compared with its newest backup there, and that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differing: Option<u64>,
    entries: u64,
    bytes: u64,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    severity: &'static str,
    layer: &'static str,
    what: &'a str,
}

pub(super) async fn run(context: &Context, with_clouds: bool) -> Result<()> {
    let damaged = context
        .unlocked(async |session| {
            let progress = Progress::spinner("reading everything");
            let report = session.verify(with_clouds).await?;
            drop(progress);
            let urls = session.cloud_urls()?;
            let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
            let clouds = report.clouds.iter().zip(&urls).map(|(cloud, url)| Place {
                cloud: Some(url),
                restore_points: Some(cloud.restore_points),
                compared: Some(cloud.compared),
                differing: Some(cloud.differing),
                ..place(&cloud.report)
            });
            let json = Json {
                damaged: report.is_damaged(),
                local: place(&report.local),
                clouds: clouds.collect(),
            };
            context.out.result(&json, || human(&json))?;
            Ok(report.is_damaged())
        })
        .await?;
    if damaged {
        return Err(Failure::new(
            Code::Damage,
            "damage found",
            "where the wallet's own folder is hit, keep it aside and restore into another one; \
             where only a cloud is hit, keep the wallet's folder and make a full dump \
             (backup dump --full), or back up to another cloud",
        ));
    }
    Ok(())
}

fn place(report: &Report) -> Place<'_> {
    let findings = report.findings.iter().map(|finding| Found {
        severity: match finding.severity {
            Severity::Notice => "notice",
            Severity::Healed => "healed",
            Severity::Damage => "damage",
        },
        layer: finding.store,
        what: &finding.what,
    });
    Place {
        cloud: None,
        restore_points: None,
        compared: None,
        differing: None,
        entries: report.entries,
        bytes: report.bytes,
        findings: findings.collect(),
    }
}

fn human(json: &Json<'_>) -> String {
    let mut lines = Vec::new();
    for place in std::iter::once(&json.local).chain(&json.clouds) {
        let read = format!("{} entries, {}", place.entries, bytes(place.bytes));
        lines.push(match (place.cloud, place.restore_points) {
            (Some(url), Some(points)) => format!(
                "{url}: {read}, whole restore points: {points}, keys compared with this device: {}",
                place.compared.unwrap_or(0)
            ),
            _ => format!("wallet: {read}"),
        });
        let findings = &place.findings;
        lines
            .extend(findings.iter().map(|f| format!("  {}: {} ({})", f.severity, f.what, f.layer)));
        if findings.is_empty() {
            lines.push("  nothing to report".to_owned());
        }
    }
    lines.join("\n")
}
