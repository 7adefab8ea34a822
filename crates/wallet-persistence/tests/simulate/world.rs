//! One schedule: two devices, two clouds, and what the seed does to them.

use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Duration};

use cloud::testing::{Malice, Temper};
use kv_core::{KvStore, testing::Random};
use wallet_persistence::{BackupReport, Session, Settings, SingleWriter};

use super::{
    content::{self, Content, KEYS, MergeKey, NO_CONTACT},
    device::{Cloud, Device, root},
    medium::Medium,
    oracle::{Broken, Oracle},
    tally::Tally,
    three::Stamps,
};

/// Everything of one schedule.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) clouds: Vec<Cloud>,
    pub(crate) devices: Vec<Device>,
    pub(crate) oracle: Oracle,
    pub(crate) tally: Tally,
    /// What happened, for people.
    pub(crate) told: String,
    /// Whether cloud 1 tells the truth, though it may fail ...
    pub(crate) one_is_honest: bool,
    /// ... and whether both do, and fail only while they are down.
    clouds_are_honest: bool,
    /// Whether a cloud may say what is not so. (One that only fails, or loses answers, does not.)
    clouds_lie: bool,
    /// Whether a device stayed away for so long, by clocks that jump, that it does not count any
    /// more until it has rejoined.
    pub(crate) one_is_retired: bool,
    pub(crate) on_fs: bool,
    /// With three devices: whether data with a single writer is written, too.
    pub(crate) has_single: bool,
    /// With three devices: when each change was made, as the product says.
    pub(crate) stamps: Stamps,
}

/// What the clouds of a schedule are like.
fn tempers(random: &mut Random) -> (Vec<Temper>, bool) {
    let honest = Temper::default();
    let busy = Temper { faults: 60, ..honest };
    let liar = Temper { faults: 30, lies: 60, lie_lasts: 40, ..honest };
    let destroyer = Temper { deletions: 15, destroys: true, ..liar };
    match random.below(5) {
        0 => (vec![honest, honest], true),
        1 => (vec![busy, busy], true),
        2 => (vec![liar, busy], true),
        3 => (vec![destroyer, busy], true),
        _ => (vec![liar, liar], false),
    }
}

/// Nothing waits for ever. (The time passes at once when nothing else happens.)
async fn in_time(work: impl Future<Output = Result<(), Broken>>) -> Result<(), Broken> {
    let week = Duration::from_secs(7 * 86_400);
    tokio::time::timeout(week, work).await.unwrap_or_else(|_| Err("it hangs".to_owned()))
}

impl World {
    /// Two devices, and clouds of every temper.
    pub(crate) fn two(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let (tempers, one_is_honest) = tempers(&mut random);
        Self::new(random, tempers, one_is_honest, 2)
    }

    pub(crate) fn new(
        mut random: Random,
        tempers: Vec<Temper>,
        one_is_honest: bool,
        devices: u8,
    ) -> Self {
        let clouds_lie = tempers.iter().any(|temper| temper.lies > 0 || temper.destroys);
        let clouds_are_honest = tempers.iter().all(|temper| *temper == Temper::default());
        let on_fs = random.below(4) == 0;
        let cloud = |temper| Cloud {
            truth: cloud::MemCloud::new().with_page_limit(20),
            malice: Malice::seeded(random.draw(), temper),
        };
        let clouds: Vec<Cloud> = tempers.into_iter().map(cloud).collect();
        let mut settings = Settings::default();
        settings.replicate_every = None;
        settings.memory_budget = if random.below(2) == 0 { 500 } else { 1 << 20 };
        settings.fetch_at_once = 1;
        settings.keep_restore_points_for = Duration::from_secs(86_400);
        settings.delete_after = Duration::from_secs(3600);
        let device = |number| Device::new(number, settings.clone());
        let devices: Vec<Device> = (1..=devices).map(device).collect();
        Self {
            random,
            clouds,
            devices,
            oracle: Oracle::new(clouds_lie),
            tally: Tally::default(),
            told: String::new(),
            one_is_honest,
            clouds_are_honest,
            clouds_lie,
            one_is_retired: false,
            on_fs,
            has_single: true,
            stamps: Stamps::default(),
        }
    }

    /// Runs the schedule to its end.
    pub(crate) async fn run(&mut self) -> Result<(), Broken> {
        self.create().await?;
        // Three devices need more time at the end.
        let steps =
            if self.is_three() { 15 + self.random.below(50) } else { 20 + self.random.below(60) };
        for _ in 0..steps {
            if self.is_three() {
                in_time(self.step_of_three()).await?;
            } else {
                in_time(self.step()).await?;
            }
        }
        in_time(self.end()).await
    }

    pub(crate) fn tell(&mut self, what: impl std::fmt::Display) {
        let _ = writeln!(self.told, "{what}");
    }

    pub(crate) fn is_three(&self) -> bool {
        self.devices.len() == 3
    }

    fn medium(&mut self) -> Medium {
        if self.on_fs { Medium::fs() } else { Medium::mem() }
    }

    /// The first device makes the wallet.
    async fn create(&mut self) -> Result<(), Broken> {
        let medium = self.medium();
        let device = &mut self.devices[0];
        let wallet = device.wallet(&medium, &self.clouds);
        let session = wallet.create(&root()).await.map_err(|e| format!("create: {e:?}"))?;
        device.medium = Some(medium);
        device.life = self.oracle.begin(&Content::default());
        self.started(0, session).await
    }

    pub(crate) async fn started(&mut self, d: usize, session: Session) -> Result<(), Broken> {
        let status = match session.status() {
            Ok(status) => status,
            Err(error) => return Box::pin(self.failed(d, &error)).await,
        };
        self.oracle.writers.insert(status.writer, self.devices[d].life);
        self.devices[d].session = Some(session);
        Ok(())
    }

    /// Turns a device on, whose wallet must open and hold what it acknowledged.
    pub(crate) async fn open(&mut self, d: usize) -> Result<(), Broken> {
        let Some(medium) = self.devices[d].medium.clone() else { return Ok(()) };
        let wallet = self.devices[d].wallet(&medium, &self.clouds);
        let session = match wallet.unlock(&root()).await {
            Ok(session) => session,
            Err(error) => return Box::pin(self.failed(d, &error)).await,
        };
        self.started(d, session).await?;
        let content = self.look(d).await?;
        self.oracle.reopened(self.devices[d].life, &content);
        self.reopened_of_three(d)
    }

    /// Reads everything on a running device and checks it.
    pub(crate) async fn look(&mut self, d: usize) -> Result<Content, Broken> {
        let session = self.devices[d].running().ok_or("looked at a device that is off")?;
        let content = match content::read(&session).await {
            Ok(content) => content?,
            Err(error) => {
                drop(session);
                Box::pin(self.failed(d, &error)).await?;
                return Box::pin(self.look(d)).await;
            }
        };
        self.oracle.check_device(self.devices[d].life, &content)?;
        Ok(content)
    }

    pub(crate) async fn crash(&mut self, d: usize) -> Result<(), Broken> {
        self.tell(format_args!("device {d} crashes"));
        self.tally.crashes += 1;
        self.devices[d].crash(&mut self.random);
        self.open(d).await
    }

    /// A change on a device: it was acknowledged, or the device has a fault and crashes.
    pub(crate) async fn changed(
        &mut self,
        d: usize,
        outcome: Result<(), impl std::fmt::Debug>,
    ) -> Result<(), Broken> {
        match outcome {
            Ok(()) => {
                self.oracle.acknowledge(self.devices[d].life);
                self.tally.changes += 1;
                Ok(())
            }
            Err(error) => self.failed(d, &error).await,
        }
    }

    /// After an error of the store the device must be turned off and on.
    pub(crate) async fn failed(
        &mut self,
        d: usize,
        error: &impl std::fmt::Debug,
    ) -> Result<(), Broken> {
        let fired = self.devices[d].medium.as_ref().is_some_and(|m| m.fault().fired());
        if !fired {
            return Err(format!("device {d} fails without a fault: {error:?}"));
        }
        self.tell(format_args!("device {d} has a fault"));
        self.crash(d).await
    }

    /// Whether the store below a device has failed, so that any error is explained.
    pub(crate) fn has_failed(&self, d: usize) -> bool {
        self.devices[d].medium.as_ref().is_some_and(|medium| medium.fault().fired())
    }

    pub(crate) async fn write_single(&mut self, d: usize, lazy: bool) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        if !self.may_write(d, &session).await? {
            return Ok(());
        }
        let mut changes = BTreeMap::new();
        for _ in 0..=self.random.below(4) {
            let key = self.random.below(u64::from(KEYS)) as u8;
            changes.insert(key, self.random.below(4) > 0);
        }
        let life = self.devices[d].life;
        let number = self.oracle.batch(life, &changes);
        self.tell(format_args!("device {d} writes batch {number}, lazy {lazy}: {changes:?}"));
        let batch = content::batch(number, &changes);
        let kv = session.kv().map_err(|e| format!("kv: {e:?}"))?;
        let outcome = kv.submit(if lazy { batch.lazy() } else { batch }).await;
        match outcome {
            Err(kv_core::Error::Refused { source, .. }) => {
                self.tell(format_args!("refused: {source}"));
                self.oracle.withdraw(life, number);
                self.tally.refusals += 1;
                Ok(())
            }
            // Only its place in the order is known.
            Ok(()) if lazy => Ok(()),
            outcome => self.changed(d, outcome).await,
        }
    }

    /// Whether a device may write single-writer data; one that was restored takes over first.
    pub(crate) async fn may_write(&mut self, d: usize, session: &Session) -> Result<bool, Broken> {
        let gate = |session: &Session| session.status().map(|status| status.single_writer);
        match gate(session) {
            Ok("open") => return Ok(true),
            Ok("take-over-first") => {}
            // What was deposed may come back only if nothing was written since.
            Ok("fenced") if self.random.below(4) == 0 => {}
            Ok(_) => return Ok(false),
            Err(error) => return self.failed(d, &error).await.map(|()| false),
        }
        self.oracle.takes_over(self.devices[d].life);
        let outcome = session.take_over().await;
        self.tell(format_args!("device {d} takes over: {outcome:?}"));
        match outcome {
            Ok(_) => {
                self.tally.takeovers += 1;
                Ok(true)
            }
            Err(error) if self.has_failed(d) => self.failed(d, &error).await.map(|()| false),
            Err(_) => {
                self.tally.refusals += 1;
                Ok(false)
            }
        }
    }

    pub(crate) async fn write_merge(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let key = self.random.below(u64::from(NO_CONTACT)) as u8;
        self.change(d, key, &session).await
    }

    /// Puts or removes one key of what merges.
    pub(crate) async fn change(
        &mut self,
        d: usize,
        key: MergeKey,
        session: &Session,
    ) -> Result<(), Broken> {
        // Removing what is not there is no change.
        let put = self.random.below(3) > 0 || !self.oracle.knows(self.devices[d].life, key);
        let number = self.oracle.change(self.devices[d].life, key, put);
        self.tell(format_args!("device {d} makes change {number}: key {key}, put {put}"));
        let value = content::merge_value(number);
        let outcome = match (content::field(key), put) {
            (Some(field), true) => session.set_profile(field, &value).await,
            (Some(field), false) => session.clear_profile(field).await,
            (None, true) => session.add_account(content::account(key), Some(&value)).await,
            (None, false) => session.remove_account(&content::account(key)).await.map(drop),
        };
        self.changed(d, outcome).await?;
        self.stamped(d, number)
    }

    /// A backup. It may fail whenever a cloud does.
    pub(crate) async fn post(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        if self.random.below(8) == 0 {
            self.devices[d].pulse.stop_at(1 + self.random.below(12));
        }
        let pulse = self.devices[d].pulse.clone();
        let outcome = tokio::select! {
            outcome = session.post_backup() => Some(outcome),
            () = pulse.stopped() => None,
        };
        pulse.stop_at(0);
        drop(session);
        self.tell(format_args!("device {d} posts: {outcome:?}"));
        match outcome {
            None => self.crash(d).await,
            Some(Ok(report)) => {
                self.tally.backups += 1;
                self.posted(d, &report)
            }
            Some(Err(error)) => self.refused(d, "post", &error).await,
        }
    }

    /// Takes note of what a backup says.
    pub(crate) fn posted(&mut self, d: usize, report: &BackupReport) -> Result<(), Broken> {
        let life = self.devices[d].life;
        let acknowledged = report.single_writer == Some(SingleWriter::Acknowledged);
        self.oracle.replicate(life, acknowledged);
        self.tally.fenced += u64::from(acknowledged);
        self.tally.stopped += u64::from(report.single_writer == Some(SingleWriter::Stopped));
        if acknowledged && !self.clouds_lie { self.oracle.fence(life) } else { Ok(()) }
    }

    /// Something with the clouds failed, which needs a reason.
    pub(crate) async fn refused(
        &mut self,
        d: usize,
        what: &str,
        error: &impl std::fmt::Debug,
    ) -> Result<(), Broken> {
        self.tally.refusals += 1;
        if self.has_failed(d) {
            return self.failed(d, error).await;
        }
        if self.is_calm() && !self.devices[d].pulse.is_offline() {
            return Err(format!("device {d}, {what}: an error without a reason: {error:?}"));
        }
        Ok(())
    }

    /// Whether every cloud has always done what it should, and does now.
    pub(crate) fn is_calm(&self) -> bool {
        self.clouds_are_honest && self.clouds.iter().all(|cloud| !cloud.is_down())
    }

    /// A device that has nothing restores from the words and the clouds alone.
    pub(crate) async fn restore(&mut self, d: usize) -> Result<(), Broken> {
        if self.devices[d].medium.is_some() {
            return Ok(());
        }
        let medium = self.medium();
        let wallet = self.devices[d].wallet(&medium, &self.clouds);
        let report = match wallet.restore(&root(), |_| ()).await {
            Ok(report) => report,
            Err(error) => {
                let text = format!("{error:?}");
                self.tell(format_args!("device {d} does not restore: {text}"));
                if text.contains("NoBackup") && self.tally.backups == 0 {
                    return Ok(());
                }
                return self.refused(d, "restore", &error).await;
            }
        };
        self.tell(format_args!("device {d} restores: {report:?}"));
        self.tally.restores += 1;
        let session = wallet.unlock(&root()).await.map_err(|e| format!("unlock: {e:?}"))?;
        let content = content::read(&session).await.map_err(|e| format!("read: {e:?}"))??;
        let strict = self.one_is_honest && report.clouds == self.clouds.len();
        self.oracle.check_restored(&content, &report, strict)?;
        self.devices[d].life = self.oracle.begin(&content);
        self.devices[d].medium = Some(medium);
        self.started(d, session).await
    }

    pub(crate) fn lose(&mut self, d: usize) {
        self.tell(format_args!("device {d} is lost"));
        self.tally.losses += 1;
        self.devices[d].pulse.stop();
        self.devices[d].session = None;
        self.devices[d].suspended = None;
        self.devices[d].medium = None;
        let life = self.devices[d].life;
        self.oracle.lives[life].lost = true;
    }

    /// The clouds as the transcript shows them.
    pub(crate) fn deeds(&self) -> Vec<Arc<Malice>> {
        self.clouds.iter().map(|cloud| cloud.malice.clone()).collect()
    }
}
