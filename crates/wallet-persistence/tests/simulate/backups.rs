//! Steps about backups: dumps, old restore points, commits that wait for the clouds, scrubs.

use std::collections::BTreeMap;

use cloud::testing::Malice;
use wallet_persistence::{DumpKind, KvStore, RestoreAt};

use super::{
    content::{self, KEYS},
    device::{Cloud, Device, root},
    medium::Medium,
    oracle::Broken,
    world::World,
};

const HOUR: u64 = 3_600_000;

impl World {
    /// A dump, due or not.
    pub(crate) async fn dump(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let kind = if self.random.below(3) == 0 { DumpKind::Full } else { DumpKind::Delta };
        let outcome = session.dump(kind).await;
        self.tell(format_args!("device {d} dumps: {outcome:?}"));
        match outcome {
            Ok(_) => {
                // Whether all clouds have it the next backup will say.
                self.tally.dumps += 1;
                Ok(())
            }
            Err(error) => self.refused(d, "dump", &error).await,
        }
    }

    /// Time passes, so that restore points become too old and what they need may go.
    pub(crate) async fn grow_old(&mut self, d: usize) -> Result<(), Broken> {
        let hours = 2 + self.random.below(40);
        self.devices.iter().for_each(|device| device.clock.advance(hours * HOUR));
        self.tell(format_args!("{hours} hours pass"));
        self.post(d).await
    }

    /// A batch whose commit resolves only when every cloud has it.
    pub(crate) async fn write_replicated(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        if !self.may_write(d, &session).await? || self.devices[d].session.is_none() {
            return Ok(());
        }
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let changes = BTreeMap::from([(self.random.below(u64::from(KEYS)) as u8, true)]);
        let life = self.devices[d].life;
        let number = self.oracle.batch(life, &changes);
        self.tell(format_args!("device {d} writes batch {number} and waits for the clouds"));
        let kv = session.kv_replicated().map_err(|e| format!("kv_replicated: {e:?}"))?;
        let mut commit = kv.submit(content::batch(number, &changes));
        drop(kv);
        if let Some(Err(kv_core::Error::Refused { .. })) = commit.receipt().outcome() {
            self.oracle.withdraw(life, number);
            self.tally.refusals += 1;
            return Ok(());
        }
        // A backup promises nothing of what this device itself has failed to make durable.
        let local = session.kv().map_err(|e| format!("kv: {e:?}"))?;
        let here = local.submit(kv_core::Batch::new()).await;
        drop((local, session));
        if let Err(error) = here {
            return self.failed(d, &error).await;
        }
        self.post(d).await?;
        // Whatever the backup said: if the commit has resolved, the promise is made.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let resolved = std::pin::Pin::new(&mut commit).poll(&mut cx);
        self.tell(format_args!("batch {number}: {resolved:?}"));
        if matches!(resolved, std::task::Poll::Ready(Ok(()))) {
            self.tally.replicated += 1;
            self.oracle.replicate_batch(life, number);
        }
        Ok(())
    }

    /// An older moment, of what is truly in one cloud: it is one moment, and not a later one.
    pub(crate) async fn restore_older(&mut self) -> Result<(), Broken> {
        let at = self.random.below(self.clouds.len() as u64) as usize;
        let now = kv_core::Clock::now(&*self.devices[0].clock).0;
        let wanted = if self.random.below(2) == 0 {
            RestoreAt::Time(now.saturating_sub(self.random.below(60) * 1000))
        } else {
            RestoreAt::Sequence(self.random.below(60))
        };
        let medium = Medium::mem();
        let mut fresh = Device::new(9, self.devices[0].settings.clone());
        let truth = Cloud { truth: self.clouds[at].truth.clone(), malice: Malice::none() };
        let wallet = fresh.wallet(&medium, &[truth]);
        let report = match wallet.restore_stale_at(&root(), wanted, |_| ()).await {
            Ok(report) => report,
            Err(error) => {
                let text = format!("{error:?}");
                let is_none = text.contains("NoRestorePoint") || text.contains("NoBackup");
                // A cloud that was away has its past from the other one, which may have lost it.
                if is_none || self.clouds.iter().any(Cloud::was_damaged) {
                    return Ok(());
                }
                return Err(format!("cloud {at}: {wanted:?} is refused: {text}"));
            }
        };
        self.tell(format_args!("cloud {at} gives {wanted:?}: {report:?}"));
        let is_later = match wanted {
            RestoreAt::Time(time) => report.time > time,
            RestoreAt::Sequence(sequence) => report.sequence > sequence,
            _ => false,
        };
        if is_later {
            return Err(format!("{wanted:?} was asked for: {report:?}"));
        }
        let session = wallet.unlock(&root()).await.map_err(|e| format!("unlock: {e:?}"))?;
        let content = content::read(&session).await.map_err(|e| format!("read: {e:?}"))??;
        self.oracle.check_restored(&content, &report, false)?;
        self.tally.older += 1;
        session.lock().await.map_err(|e| format!("lock: {e:?}"))
    }

    /// A scrub of device and clouds.
    pub(crate) async fn verify(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        match session.verify(true).await {
            Ok(report) if report.local.is_damaged() => Err(format!("local damage: {report:?}")),
            Ok(report) => {
                let damaged = report.is_damaged();
                self.tally.refusals += u64::from(damaged);
                self.tell(format_args!("device {d} verifies, damaged {damaged}"));
                if damaged && self.is_calm() && !self.devices[d].pulse.is_offline() {
                    return Err(format!("device {d} reports damage in honest clouds: {report:?}"));
                }
                Ok(())
            }
            Err(error) => self.refused(d, "verify", &error).await,
        }
    }
}
