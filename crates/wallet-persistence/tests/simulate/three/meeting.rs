//! Three devices meet: each puts and takes what there is until nothing is new, and then all are equal.

use crate::{content::Content, oracle::Broken, world::World};

/// After so many rounds there must be nothing new any more.
const ROUNDS: u32 = 5;

impl World {
    /// Two devices post while the third one polls: a head may come while another one is looked at.
    pub(super) async fn all_at_once(&mut self, d: usize) -> Result<(), Broken> {
        let (a, b, c) = (d, (d + 1) % 3, (d + 2) % 3);
        let session = |d: usize| self.devices[d].running();
        let (at_a, at_b, at_c) = (session(a), session(b), session(c));
        let post = |session: Option<wallet_persistence::Session>| async move {
            match session {
                Some(session) => Some(session.post_backup().await),
                None => None,
            }
        };
        let poll = async {
            match at_c {
                Some(session) => Some(session.poll_backups().await),
                None => None,
            }
        };
        let (first, second, polled) = tokio::join!(post(at_a), post(at_b), poll);
        self.tell(format_args!("at once: {a} posts {first:?}, {b} posts {second:?}"));
        self.tell(format_args!("at once: {c} polls {polled:?}"));
        for (d, outcome) in [(a, first), (b, second)] {
            match outcome {
                Some(Ok(report)) => {
                    self.tally.backups += 1;
                    self.posted(d, &report)?;
                }
                Some(Err(error)) => self.refused(d, "post", &error).await?,
                None => {}
            }
        }
        match polled {
            Some(Ok(report)) => self.polled(&report),
            Some(Err(error)) => self.refused(c, "poll", &error).await?,
            None => return Ok(()),
        }
        if self.has_failed(c) {
            return self.crash(c).await;
        }
        let content = self.look(c).await?;
        self.oracle.merged(self.devices[c].life, &content);
        Ok(())
    }

    pub(crate) async fn meet_until_quiet(&mut self) -> Result<(), Broken> {
        for round in 0..ROUNDS {
            let before = self.tally.merged;
            for d in 0..self.devices.len() {
                self.meet(d).await?;
            }
            if round > 0 && self.tally.merged == before {
                return Ok(());
            }
        }
        Err(format!("after {ROUNDS} rounds there still is something new"))
    }

    /// All running devices are equal, byte by byte and stamp by stamp, and as the rule says.
    pub(crate) async fn three_agree(&mut self) -> Result<(), Broken> {
        let mut found: Vec<(usize, Content, _, String)> = Vec::new();
        for d in 0..self.devices.len() {
            let Some(session) = self.devices[d].running() else { continue };
            let content = self.look(d).await?;
            let digest = session.digest().await.map_err(|e| format!("digest: {e:?}"))?;
            found.push((d, content, self.frames(d)?, digest.hex));
        }
        for two in found.windows(2) {
            let ((a, one, at_a, digest_a), (b, other, at_b, digest_b)) = (&two[0], &two[1]);
            if at_a != at_b {
                return Err(format!("devices {a} and {b} store {at_a:?} and {at_b:?}"));
            }
            if one.nicks != other.nicks {
                return Err(format!("devices {a} and {b} have {one:?} and {other:?}"));
            }
            // What has a single writer is not on all devices.
            if !self.oracle.has_batches() && digest_a != digest_b {
                return Err(format!("devices {a} and {b} have the digests {digest_a}, {digest_b}"));
            }
        }
        self.tally.equal += found.len() as u64;
        self.tally.ties += self.stamps.ties();
        match found.first() {
            Some((_, content, ..)) => {
                let content = content.clone();
                self.check_rule(&content)
            }
            None => Ok(()),
        }
    }
}
