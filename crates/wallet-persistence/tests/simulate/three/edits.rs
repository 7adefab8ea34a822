//! Edits on three devices: of every kind of thing that merges, several of one millisecond on one
//! device, and one of the same millisecond on each.

use kv_core::Timestamp;
use wallet_persistence::{Error, records};

use crate::{
    content::{self, Contact, MERGE_KEYS, MergeKey, NO_CONTACT},
    oracle::Broken,
    world::World,
};

/// How many nicknames there are to share.
const NICKS: u64 = 3;

impl World {
    pub(super) async fn edit(&mut self, d: usize) -> Result<(), Broken> {
        let key = self.random.below(u64::from(MERGE_KEYS)) as u8;
        self.edit_key(d, key).await
    }

    /// Several changes of one thing, between which the clock stands still.
    pub(super) async fn edits_of_one_moment(&mut self, d: usize) -> Result<(), Broken> {
        let key = self.random.below(u64::from(MERGE_KEYS)) as u8;
        for _ in 0..2 + self.random.below(3) {
            self.edit_key(d, key).await?;
        }
        Ok(())
    }

    /// All devices change one thing in the same millisecond, later than everything before it.
    pub(super) async fn edits_at_once(&mut self) -> Result<(), Broken> {
        let clocks = self.devices.iter().map(|device| kv_core::Clock::now(&*device.clock).0);
        let latest = clocks.chain(self.stamps.latest()).max().unwrap_or_default();
        self.tell(format_args!("all clocks say {}", latest + 1));
        self.devices.iter().for_each(|device| device.clock.set(Timestamp(latest + 1)));
        let key = self.random.below(u64::from(MERGE_KEYS)) as u8;
        for d in 0..self.devices.len() {
            self.edit_key(d, key).await?;
        }
        Ok(())
    }

    async fn edit_key(&mut self, d: usize, key: MergeKey) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        if key < NO_CONTACT {
            return self.change(d, key, &session).await;
        }
        let (removes, nick) = (self.random.below(4) == 0, self.random.below(NICKS) as u8);
        let content = self.look(d).await?;
        // To look may have met a fault.
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        let contacts = match session.records::<Contact>().await {
            Ok(contacts) => contacts,
            Err(error) => return self.failed(d, &error).await,
        };
        let life = self.devices[d].life;
        if removes && content.nicks.contains_key(&key) {
            let number = self.oracle.change(life, key, false);
            self.tell(format_args!("device {d} makes change {number}: contact {key} goes"));
            let outcome = async { contacts.delete(u64::from(key))?.await.map_err(Error::from) };
            let outcome: Result<(), Error> = outcome.await;
            self.changed(d, outcome).await?;
            return self.stamped(d, number);
        }
        // The rule of the book: a nickname stays with those who have it, and goes to nobody else.
        let has_it = content.nicks.get(&key) == Some(&nick);
        if !has_it && content.nicks.values().any(|other| *other == nick) {
            let note = content::merge_value(usize::MAX);
            return match contacts.put(&Contact { key, nick, note }) {
                Err(records::Error::NotUnique { .. }) => {
                    self.tally.not_unique += 1;
                    Ok(())
                }
                Err(error) => self.failed(d, &error).await,
                Ok(_) => Err(format!("contact {key} got nick {nick} on device {d}: {content:?}")),
            };
        }
        let number = self.oracle.change(life, key, true);
        self.tell(format_args!("device {d} makes change {number}: contact {key} is {nick}"));
        let contact = Contact { key, nick, note: content::merge_value(number) };
        let outcome = async { contacts.put(&contact)?.await.map_err(Error::from) };
        let outcome: Result<(), Error> = outcome.await;
        if let Err(Error::Records(records::Error::NotUnique { .. })) = &outcome {
            return Err(format!(
                "contact {key} was refused nick {nick} on device {d}: {content:?}"
            ));
        }
        self.changed(d, outcome).await?;
        self.stamped(d, number)
    }
}
