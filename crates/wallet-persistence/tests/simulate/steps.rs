//! What may happen next, and what must be true at the end.

use cloud::{
    CloudBackend,
    testing::{Lie, Malice},
};
use kv_core::testing::Landing;
use wallet_persistence::RestoreAt;

use super::{
    content::{self, MARK},
    device::{Cloud, Device, root},
    medium::Medium,
    oracle::Broken,
    world::World,
};

impl World {
    /// One step, drawn by the seed.
    pub(crate) async fn step(&mut self) -> Result<(), Broken> {
        let d = self.random.below(2) as usize;
        let elapsed = self.random.below(5000);
        self.devices.iter().for_each(|device| device.clock.advance(elapsed));
        if self.random.below(15) == 0 {
            self.what_is_there_restores().await?;
        }
        match self.random.below(112) {
            0..14 => self.write_single(d, false).await,
            14..20 => self.write_single(d, true).await,
            20..40 => self.write_merge(d).await,
            40..56 => self.post(d).await,
            56..66 => self.poll(d).await,
            66..68 => self.verify(d).await,
            68..80 => self.restore(d).await,
            80..84 => self.power(d).await,
            84..87 => self.lock(d).await,
            87..90 => {
                self.arm(d);
                Ok(())
            }
            90..92 => {
                // One device stays, so that the wallet does not end.
                if self.devices[1 - d].medium.is_some() && self.devices[d].medium.is_some() {
                    self.lose(d);
                }
                Ok(())
            }
            92..96 => {
                self.jump(d);
                Ok(())
            }
            96..100 => {
                self.outage();
                Ok(())
            }
            100..103 => self.dump(d).await,
            103..105 => self.grow_old(d).await,
            105..109 => self.write_replicated(d).await,
            _ => self.restore_older().await,
        }
    }

    pub(crate) async fn power(&mut self, d: usize) -> Result<(), Broken> {
        if self.devices[d].session.is_some() { self.crash(d).await } else { Ok(()) }
    }

    /// Locks and unlocks: everything must be there, what was lazy too.
    pub(crate) async fn lock(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        self.tell(format_args!("device {d} locks"));
        match session.lock().await {
            Ok(()) => self.oracle.acknowledge(self.devices[d].life),
            Err(error) => return self.failed(d, &error).await,
        }
        drop(session);
        self.devices[d].session = None;
        self.open(d).await
    }

    /// One of the next operations of the device's store will fail.
    pub(crate) fn arm(&mut self, d: usize) {
        let nth = 1 + self.random.below(20);
        let landing = if self.random.below(2) == 0 { Landing::Absent } else { Landing::Landed };
        // One that has fired and was noticed by nobody yet stays to be noticed.
        if let Some(medium) = self.devices[d].medium.as_ref().filter(|m| !m.fault().fired()) {
            medium.fault().fail_nth(nth, landing);
        }
    }

    /// A clock jumps by up to a day, forward or back.
    fn jump(&mut self, d: usize) {
        let (clock, by) = (&self.devices[d].clock, self.random.below(86_400_000));
        let now = kv_core::Clock::now(&**clock).0;
        let to = if self.random.below(2) == 0 { now + by } else { now.saturating_sub(by) };
        clock.set(kv_core::Timestamp(to));
        self.tell(format_args!("the clock of device {d} jumps to {to}"));
    }

    /// A cloud goes out of reach, or all that are come back.
    pub(crate) fn outage(&mut self) {
        let at = self.random.below(2) as usize;
        let down = self.clouds[at].is_down();
        self.tell(format_args!("cloud {at} was down {down}, now the contrary"));
        if down {
            self.clouds[at].malice.take_back(&Lie::Down);
        } else {
            self.clouds[at].malice.lie(Lie::Down);
        }
    }

    /// All clouds turn honest and all devices meet: then everything must be right.
    pub(crate) async fn end(&mut self) -> Result<(), Broken> {
        self.tell("the clouds turn honest");
        for cloud in self.clouds.clone() {
            cloud.malice.be_honest();
            cloud.handle(0).settle().await;
        }
        for d in 0..self.devices.len() {
            let Some(medium) = self.devices[d].medium.clone() else { continue };
            if self.has_failed(d) {
                // A change that nobody waited for may have met the fault.
                self.crash(d).await?;
            }
            medium.fault().fail_nth(0, Landing::Absent);
            self.devices[d].pulse.set_offline(false);
            self.wake(d).await?;
        }
        self.all_meet().await?;
        if self.one_is_retired {
            // It learns of it, rejoins, and the others learn of that.
            self.all_meet().await?;
            self.all_meet().await?;
            self.tally.retired += 1;
        }
        self.all_agree().await?;
        for at in 0..self.clouds.len() {
            let damaged = self.clouds[at].was_damaged();
            if let Err(broken) = self.restore_from(at).await
                && !(damaged && broken.starts_with("restore:"))
            {
                return Err(format!("cloud {at}: {broken}"));
            }
            self.nothing_is_in_clear(at).await?;
        }
        for d in 0..self.devices.len() {
            if let Some(session) = self.devices[d].running() {
                session.lock().await.map_err(|e| format!("lock: {e:?}"))?;
            }
        }
        Ok(())
    }

    async fn all_meet(&mut self) -> Result<(), Broken> {
        if self.is_three() {
            return self.meet_until_quiet().await;
        }
        for d in [0, 1, 0, 1, 0] {
            self.meet(d).await?;
        }
        Ok(())
    }

    /// A device posts and polls, which must succeed now.
    pub(crate) async fn meet(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let report = session.post_backup().await;
        self.tell(format_args!("device {d} posts at the end: {report:?}"));
        let report =
            report.map_err(|e| format!("device {d} cannot post to honest clouds: {e:?}"))?;
        self.posted(d, &report)?;
        let report = session.poll_backups().await;
        self.tell(format_args!("device {d} polls at the end: {report:?}"));
        let report = report.map_err(|e| format!("device {d} cannot poll honest clouds: {e:?}"))?;
        self.polled(&report);
        if report.retired {
            self.rejoin(d).await?;
        }
        let content = self.look(d).await?;
        self.oracle.merged(self.devices[d].life, &content);
        Ok(())
    }

    /// All running devices hold the same mergeable data, and nothing of it is lost.
    async fn all_agree(&mut self) -> Result<(), Broken> {
        let mut found = Vec::new();
        for d in 0..self.devices.len() {
            if self.devices[d].session.is_some() {
                let content = self.look(d).await?;
                self.oracle.check_together(&content).map_err(|e| format!("device {d}: {e}"))?;
                found.push(content.merge);
            }
        }
        if found.windows(2).all(|two| two[0] == two[1]) {
            return if self.is_three() { self.three_agree().await } else { Ok(()) };
        }
        Err(format!("the devices do not agree: {found:?}"))
    }

    /// At any moment, in the middle of whatever is going on, what an honest cloud holds is enough.
    pub(crate) async fn what_is_there_restores(&mut self) -> Result<(), Broken> {
        for at in 0..self.clouds.len() {
            let replicated = self.oracle.lives.iter().any(|life| life.replicated > 0);
            let truthful = !self.clouds[at].was_damaged();
            match self.restore_from(at).await {
                // Nothing but the empty wallet may have been put.
                Err(broken) if broken.contains("NoBackup") && !replicated => {}
                Err(broken) if truthful => return Err(format!("cloud {at}: {broken}")),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is truly in one cloud brings back what was replicated.
    async fn restore_from(&mut self, at: usize) -> Result<(), Broken> {
        let medium = Medium::mem();
        let mut fresh = Device::new(9, self.devices[0].settings.clone());
        let truth = Cloud { truth: self.clouds[at].truth.clone(), malice: Malice::none() };
        let wallet = fresh.wallet(&medium, &[truth]);
        // Another cloud may have more, and heads here may speak of it.
        let report = wallet.restore_stale_at(&root(), RestoreAt::Newest, |_| ()).await;
        let report = report.map_err(|e| format!("restore: {e:?}"))?;
        let session = wallet.unlock(&root()).await.map_err(|e| format!("unlock: {e:?}"))?;
        let content = content::read(&session).await.map_err(|e| format!("read: {e:?}"))??;
        self.tally.probes += 1;
        self.oracle.check_restored(&content, &report, !self.clouds[at].was_damaged())?;
        session.lock().await.map_err(|e| format!("lock: {e:?}"))
    }

    /// No name and no byte in a cloud shows what the wallet holds.
    async fn nothing_is_in_clear(&mut self, at: usize) -> Result<(), Broken> {
        let truth = self.clouds[at].truth.clone();
        let all = backup::ObjectName::new("sr1").map_err(|e| e.to_string())?;
        for meta in cloud::poll_backups(&truth, &all).await.map_err(|e| e.to_string())? {
            let found = truth.get(&meta.name).await.map_err(|e| e.to_string())?;
            let bytes = found.map(|(bytes, _)| bytes).unwrap_or_default();
            let mark = MARK.as_bytes();
            if bytes.windows(mark.len()).any(|window| window == mark) {
                return Err(format!("{} shows plaintext", meta.name));
            }
            self.tally.objects += 1;
        }
        Ok(())
    }
}
