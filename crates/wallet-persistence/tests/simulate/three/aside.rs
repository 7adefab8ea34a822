//! Devices that are put aside for a while, also in the middle of what they do, and go on.

use std::time::Duration;

use wallet_persistence::{BackupReport, Error};

use crate::{oracle::Broken, world::World};

/// As long as a phone waits before it kills.
const PATIENCE: Duration = Duration::from_secs(1);

impl World {
    /// A device is suspended while a cloud does not answer it: within a second all the same.
    pub(super) async fn cut_short(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let takes_over = self.has_single && self.random.below(2) == 0;
        if takes_over {
            self.oracle.takes_over(self.devices[d].life);
        }
        let pulse = self.devices[d].pulse.clone();
        pulse.stop_at(1 + self.random.below(12));
        let asked = session.clone();
        let work = async move {
            if takes_over {
                asked.take_over().await.map(|_| None)
            } else {
                asked.post_backup().await.map(Some)
            }
        };
        tokio::pin!(work);
        let finished: Option<Result<Option<BackupReport>, Error>> = tokio::select! {
            outcome = &mut work => Some(outcome),
            () = pulse.stopped() => None,
        };
        pulse.stop_at(0);
        if let Some(outcome) = finished {
            self.tell(format_args!("device {d} was not cut short: {outcome:?}"));
            return match outcome {
                Ok(Some(report)) => {
                    self.tally.backups += 1;
                    self.posted(d, &report)
                }
                Ok(None) => {
                    self.tally.takeovers += 1;
                    Ok(())
                }
                Err(error) if takes_over && !self.has_failed(d) => {
                    self.tell(format_args!("no takeover: {error:?}"));
                    self.tally.refusals += 1;
                    Ok(())
                }
                Err(error) => self.refused(d, "post", &error).await,
            };
        }
        self.tell(format_args!("device {d} is suspended in the middle, takes over {takes_over}"));
        let both = async { tokio::join!(session.suspend(), work) };
        let Ok((suspended, asked)) = tokio::time::timeout(PATIENCE, both).await else {
            return Err(format!("device {d}: a cloud that does not answer holds up suspending"));
        };
        pulse.go_on();
        match suspended {
            Ok(suspended) => self.devices[d].suspended = Some(suspended),
            Err(error) => return self.failed(d, &error).await,
        }
        if !matches!(asked, Err(Error::Locked)) {
            return Err(format!("device {d} was suspended, and answers {asked:?}"));
        }
        self.tally.cut_short += 1;
        self.oracle.acknowledge(self.devices[d].life);
        self.devices[d].session = None;
        Ok(())
    }

    /// A device is put aside for a while, or switched off.
    pub(super) async fn put_aside(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        if self.random.below(2) == 0 {
            self.tell(format_args!("device {d} is suspended"));
            match session.suspend().await {
                Ok(suspended) => self.devices[d].suspended = Some(suspended),
                Err(error) => return self.failed(d, &error).await,
            }
        } else {
            self.tell(format_args!("device {d} is switched off"));
            if let Err(error) = session.lock().await {
                return self.failed(d, &error).await;
            }
        }
        self.oracle.acknowledge(self.devices[d].life);
        self.devices[d].session = None;
        self.tally.aside += 1;
        Ok(())
    }

    /// A device that was put aside or switched off goes on as it was.
    pub(crate) async fn wake(&mut self, d: usize) -> Result<(), Broken> {
        if self.devices[d].session.is_some() {
            return Ok(());
        }
        let Some(suspended) = self.devices[d].suspended.take() else { return self.open(d).await };
        let resumed = match suspended.resume().await {
            Ok(resumed) => resumed,
            Err(error) => return self.failed(d, &error).await,
        };
        self.tell(format_args!("device {d} goes on, changed {}", resumed.changed));
        if resumed.changed {
            return Err(format!("device {d} was suspended and says that it was changed"));
        }
        self.started(d, resumed.session).await?;
        let content = self.look(d).await?;
        self.oracle.reopened(self.devices[d].life, &content);
        Ok(())
    }
}
