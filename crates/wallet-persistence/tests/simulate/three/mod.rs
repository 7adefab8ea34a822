//! Three devices of one wallet and two clouds that are honest, but slow, busy and now and then away:
//! what may happen next. Clocks differ by days, devices are offline, put aside, lost, restored from
//! the words alone, and join late.

mod aside;
mod edits;
mod meeting;
mod stamps;

use cloud::testing::{Lie, Temper};
use kv_core::{Timestamp, testing::Random};

use super::{oracle::Broken, world::World};

pub(crate) use stamps::Stamps;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

impl World {
    pub(crate) fn three(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let honest = Temper::default();
        let busy = Temper { faults: 60, ..honest };
        let tempers = match random.below(3) {
            0 => vec![honest, honest],
            1 => vec![busy, honest],
            _ => vec![busy, busy],
        };
        let mut world = Self::new(random, tempers, true, 3);
        // In half of the schedules there is nothing but what merges, so that everything must be equal.
        world.has_single = world.random.below(2) == 0;
        for device in &world.devices {
            let skew = world.random.below(20 * DAY);
            device.clock.set(Timestamp(NOW + skew));
        }
        world
    }

    /// One step, drawn by the seed. What is drawn does not depend on what is there.
    pub(crate) async fn step_of_three(&mut self) -> Result<(), Broken> {
        let d = self.random.below(3) as usize;
        // Often no time passes, so that changes fall into one millisecond.
        let elapsed = [0, self.random.below(5000)][self.random.below(2) as usize];
        self.devices.iter().for_each(|device| device.clock.advance(elapsed));
        if self.devices[d].medium.is_none() {
            return if self.random.below(3) == 0 { self.restore(d).await } else { Ok(()) };
        }
        if self.random.below(4) == 0 {
            self.come_back(d).await?;
        }
        match self.random.below(100) {
            0..24 => self.edit(d).await,
            24..29 => self.edits_of_one_moment(d).await,
            29..34 => self.edits_at_once().await,
            34..50 => self.post(d).await,
            50..65 => self.poll(d).await,
            65..69 => self.all_at_once(d).await,
            69..72 => self.power(d).await,
            72..74 => {
                self.arm(d);
                Ok(())
            }
            74..77 => self.put_aside(d).await,
            77..78 => self.cut_short(d).await,
            78..81 => {
                self.tell(format_args!("device {d} is offline"));
                self.devices[d].pulse.set_offline(true);
                Ok(())
            }
            81..85 => {
                self.skew(d);
                Ok(())
            }
            85..88 => {
                self.outage();
                Ok(())
            }
            88..93 if self.has_single => self.write_single(d, false).await,
            93..94 => {
                if self.devices.iter().filter(|device| device.medium.is_some()).count() > 1 {
                    self.lose(d);
                }
                Ok(())
            }
            94..96 if self.has_single => self.take_over(d).await,
            96..98 => self.dump(d).await,
            98..99 => self.verify(d).await,
            _ => self.lock(d).await,
        }
    }

    /// A device and what it needs are there again.
    async fn come_back(&mut self, d: usize) -> Result<(), Broken> {
        self.devices[d].pulse.set_offline(false);
        for at in 0..self.clouds.len() {
            if self.clouds[at].is_down() {
                self.clouds[at].malice.take_back(&Lie::Down);
            }
        }
        self.wake(d).await
    }

    /// A device becomes the one that writes what has a single writer.
    async fn take_over(&mut self, d: usize) -> Result<(), Broken> {
        let Some(session) = self.devices[d].running() else { return Ok(()) };
        self.oracle.takes_over(self.devices[d].life);
        let outcome = session.take_over().await;
        self.tell(format_args!("device {d} takes over: {outcome:?}"));
        match outcome {
            Ok(_) => self.tally.takeovers += 1,
            Err(error) if self.has_failed(d) => return self.failed(d, &error).await,
            Err(_) => self.tally.refusals += 1,
        }
        Ok(())
    }

    /// A clock is set to another day, before or after.
    fn skew(&mut self, d: usize) {
        let (clock, by) = (&self.devices[d].clock, self.random.below(10 * DAY));
        let now = kv_core::Clock::now(&**clock).0;
        let to = if self.random.below(2) == 0 { now + by } else { now.saturating_sub(by) };
        clock.set(Timestamp(to));
        self.tell(format_args!("the clock of device {d} goes from {now} to {to}"));
    }
}
