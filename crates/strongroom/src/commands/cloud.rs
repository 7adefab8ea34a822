//! `cloud`: where backups go.

use serde::Serialize;
use wallet_persistence::{
    AddedCloud, BackupReport, Check, CloudUrl, Error, KnownCloud, check_cloud,
};

use super::Context;
use crate::{
    cli::Cloud,
    exit::{Code, Failure, Result},
    output::{bytes, row, table},
    progress::Progress,
    secret, time,
};

pub(super) async fn run(context: &Context, command: Cloud) -> Result<()> {
    match command {
        Cloud::Add { url } => add(context, &url).await,
        Cloud::List => list(context).await,
        Cloud::Remove { url } => remove(context, &url).await,
        Cloud::Clear { confirm } => clear(context, confirm.as_deref()).await,
        Cloud::Test { url } => test(context, &url).await,
    }
}

#[derive(Serialize)]
struct Added<'a> {
    url: String,
    #[serde(flatten)]
    copied: AddedCloud,
    backup: &'a BackupReport,
}

async fn add(context: &Context, url: &CloudUrl) -> Result<()> {
    let secret = context.secret().await?;
    let wallet = context.wallet().build();
    let progress = Progress::spinner("copying what the other clouds hold");
    let added = wallet.add_cloud(secret.clone(), url, |_| {}).await;
    drop(progress);
    let added = added.map_err(|e| {
        let but = "nothing has changed here, and the same command goes on where this one ended";
        context.failure(e).on(format_args!("{url} was not added"), but)
    });
    let Some(copied) = added? else {
        return Err(Failure::new(
            Code::Exists,
            format!("backups go to {url} already"),
            "`strongroom cloud list` shows all clouds",
        ));
    };
    // From here on it counts; single-writer data is acknowledged there with a backup only.
    let backup = context.unlocked_with(&secret, async |s| Ok(s.post_backup().await?)).await;
    let backup = backup.map_err(|e| {
        let but =
            "`strongroom backup now` goes on, and `strongroom cloud remove` takes it out again";
        e.on(format_args!("{url} was added, but not everything is backed up to it"), but)
    })?;
    let added = Added { url: url.to_string(), copied, backup: &backup };
    context.out.result(&added, || {
        let had = match copied.begins_anew {
            true => "all of this wallet was put there; older restore points are not".to_owned(),
            false => format!("copied {} objects, {}", copied.objects, bytes(copied.bytes)),
        };
        format!("added {url}: {had}")
    })
}

#[derive(Serialize)]
struct Url {
    url: String,
}

async fn remove(context: &Context, url: &CloudUrl) -> Result<()> {
    let secret = context.secret().await?;
    let removed = context.wallet().build().remove_cloud(secret, url).await;
    if !removed.map_err(|e| context.failure(e))? {
        return Err(Failure::new(
            Code::Missing,
            format!("no backups go to {url}"),
            "`strongroom cloud list` shows where they go",
        ));
    }
    let url = url.to_string();
    context.out.result(&Url { url: url.clone() }, || {
        format!("removed {url}; what it holds is still there")
    })
}

/// Asks first; the answer is a second call with the token.
async fn clear(context: &Context, confirm: Option<&str>) -> Result<()> {
    let (secret, wallet) = (context.secret().await?, context.wallet().build());
    let progress = Progress::spinner("asking the clouds");
    let Some(token) = confirm else {
        let asked = wallet.ask_to_clear(secret).await;
        drop(progress);
        let asked = asked.map_err(|e| context.failure(e))?;
        return context.out.result(&asked, || {
            format!(
                "{} objects, {}, in {}: the backups of every device of this wallet.\n\
                 Nothing was deleted. Stop the other devices, and delete all of it with\n\
                 strongroom cloud clear --confirm {}",
                asked.objects,
                bytes(asked.bytes),
                asked.clouds.join(", "),
                asked.token
            )
        });
    };
    let cleared = wallet.clear_cloud_store(secret, token).await;
    drop(progress);
    let cleared = cleared.map_err(|e| context.failure(e))?;
    context.out.result(&cleared, || {
        format!(
            "deleted {} objects, {}; nothing is backed up until \"strongroom backup now\"",
            cleared.objects,
            bytes(cleared.bytes)
        )
    })
}

async fn list(context: &Context) -> Result<()> {
    context
        .unlocked(async |session| {
            let clouds = session.known_clouds()?;
            if context.out.json {
                return clouds.iter().try_for_each(|c| context.out.result(c, String::new));
            }
            let rows = clouds.iter().map(|cloud| row([&cloud.url, &fences(cloud)]));
            context.out.lines(&table(&rows.collect::<Vec<_>>()))
        })
        .await
}

fn fences(cloud: &KnownCloud) -> String {
    let seen = cloud.tried.map(|tried| format!(", seen {}", time::with_age(tried)));
    let what = match cloud.can_fence() {
        Some(true) => "keeps a second writer out",
        Some(false) => "does not keep a second writer out",
        None => "not tried out yet",
    };
    format!("{what}{}", seen.unwrap_or_default())
}

/// What a test came to.
#[derive(Serialize)]
struct Tested {
    url: String,
    ok: bool,
    steps: Vec<Tried>,
    creates_once: Option<bool>,
    replaces_if_unchanged: Option<bool>,
    /// Whether it can keep a second writer out.
    fences: Option<bool>,
    largest_object: u64,
}

#[derive(Serialize)]
struct Tried {
    step: &'static str,
    ok: bool,
    ms: u128,
}

async fn test(context: &Context, url: &CloudUrl) -> Result<()> {
    let root = if url.needs_identity() { Some(secret::root()?) } else { None };
    let progress = Progress::spinner("trying it out");
    let check = check_cloud(url, root.as_ref()).await;
    drop(progress);
    let check = check?;
    let tested = Tested::of(url, &check);
    context.out.result(&tested, || tested.human())?;
    match check.failure() {
        None => Ok(()),
        Some(failure) => Err(Error::from(failure.clone()).into()),
    }
}

impl Tested {
    fn of(url: &CloudUrl, check: &Check) -> Self {
        let steps = check.steps.iter().map(|step| Tried {
            step: step.name,
            ok: step.outcome.is_ok(),
            ms: step.took.as_millis(),
        });
        Self {
            url: url.to_string(),
            ok: check.failure().is_none(),
            steps: steps.collect(),
            creates_once: check.probe.map(|probe| probe.creates_once),
            replaces_if_unchanged: check.probe.map(|probe| probe.replaces_if_unchanged),
            fences: check.probe.map(|probe| probe.is_compare_and_swap()),
            largest_object: check.limits.largest_object,
        }
    }

    fn human(&self) -> String {
        let mut rows: Vec<_> = self
            .steps
            .iter()
            .map(|tried| {
                let outcome = if tried.ok { "works" } else { "FAILED" };
                row([&tried.step, &outcome, &format_args!("{} ms", tried.ms)])
            })
            .collect();
        let yes = |answer| if answer { "yes" } else { "no" };
        if let (Some(creates), Some(replaces), Some(fences)) =
            (self.creates_once, self.replaces_if_unchanged, self.fences)
        {
            rows.push(row([&"creates once", &yes(creates)]));
            rows.push(row([&"replaces only what is unchanged", &yes(replaces)]));
            rows.push(row([&"keeps a second writer out", &yes(fences)]));
        }
        rows.push(row([&"largest object", &bytes(self.largest_object)]));
        table(&rows)
    }
}
