//! Steps that merge what the other device has put.

use wallet_persistence::PollReport;

use super::{oracle::Broken, world::World};

impl World {
    pub(crate) async fn poll(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let outcome = session.poll_backups().await;
        self.tell(format_args!("device {d} polls: {outcome:?}"));
        match outcome {
            Ok(report) => {
                self.tally.polls += 1;
                self.polled(&report);
                if report.retired {
                    self.rejoin(d).await?;
                }
                let failed = report.writers.iter().any(|writer| writer.failure.is_some());
                if failed
                    && self.is_calm()
                    && !self.devices[d].pulse.is_offline()
                    && !self.has_failed(d)
                {
                    return Err(format!("device {d} cannot merge from honest clouds: {report:?}"));
                }
                if self.has_failed(d) {
                    return self.crash(d).await;
                }
            }
            Err(error) => self.refused(d, "poll", &error).await?,
        }
        let content = self.look(d).await?;
        self.oracle.merged(self.devices[d].life, &content);
        Ok(())
    }

    /// Takes note of what a poll says.
    pub(crate) fn polled(&mut self, report: &PollReport) {
        self.tally.merged += report.writers.iter().map(|writer| writer.changes).sum::<u64>();
        self.one_is_retired |= report.retired;
        self.one_is_retired |= report.writers.iter().any(|writer| writer.retired);
    }

    /// The others do not count this device any more: it takes what they have and offers its own
    /// under a new name.
    pub(crate) async fn rejoin(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let outcome = session.rejoin().await;
        self.tell(format_args!("device {d} rejoins: {outcome:?}"));
        match outcome {
            Ok(_) => {
                let status = session.status().map_err(|e| format!("status: {e:?}"))?;
                self.oracle.writers.insert(status.writer, self.devices[d].life);
                Ok(())
            }
            Err(error) => self.refused(d, "rejoin", &error).await,
        }
    }
}
