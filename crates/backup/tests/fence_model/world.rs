//! Clouds that compare and swap, two devices, and what can happen next.

use backup::{
    Class, Fence, FenceAnswer, ObjectHash, ObjectId, ObjectRef, Position, Step, WriterId,
};

use crate::device::{Break, Device, Op};

/// How much may go wrong in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) calls: u32,
    pub(crate) crashes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Cloud {
    pub(crate) object: Option<(Fence, u32)>,
    puts: u32,
}

/// A put that the device gave up, and that may still land.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Late {
    cloud: usize,
    fence: Fence,
    replaces: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) clouds: Vec<Cloud>,
    pub(crate) devices: [Device; 2],
    pub(crate) late: Vec<Late>,
    pub(crate) faults: Faults,
    /// What was told to a user as replicated: who, in which epoch, up to where, and in which folder.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Takeovers that were told to a user as done: which folder, epoch, base.
    pub(crate) taken: Vec<(usize, u32, Option<Position>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Acknowledged {
    pub(crate) writer: WriterId,
    pub(crate) sequence: u64,
    pub(crate) epoch: u32,
    pub(crate) folder: usize,
}

pub(crate) fn position(writer: WriterId, sequence: u64) -> Position {
    let id =
        ObjectId { class: Class::Head, writer, epoch: 0, from: sequence, to: sequence, part: 0 };
    let head = ObjectRef { id, hash: ObjectHash::NONE };
    Position { writer, sequence, segment: ObjectHash::NONE, head }
}

impl Cloud {
    fn put(&mut self, fence: &Fence, replaces: Option<u32>) -> Option<u32> {
        let current = self.object.as_ref().map(|(_, tag)| *tag);
        (current == replaces).then(|| {
            self.puts += 1;
            self.object = Some((fence.clone(), self.puts));
            self.puts
        })
    }
}

impl World {
    pub(crate) fn new(
        clouds: usize,
        acknowledged_by: u32,
        scripts: [&'static [Op]; 2],
        faults: Faults,
    ) -> Self {
        let device = |i: usize| Device::new(i, clouds as u32, acknowledged_by, scripts[i]);
        Self {
            clouds: vec![Cloud::default(); clouds],
            devices: [device(0), device(1)],
            late: Vec::new(),
            faults,
            acknowledged: Vec::new(),
            taken: Vec::new(),
        }
    }

    pub(crate) fn broken(mut self, how: Break) -> Self {
        self.devices.iter_mut().for_each(|device| device.broken = Some(how));
        self
    }

    /// Some device that is no more has acknowledged five changes.
    pub(crate) fn abandon_a_fence(&mut self) {
        let gone = WriterId::from_bytes([9; 16]);
        let fence = Fence {
            epoch: 1,
            writer: gone,
            put: [9; 16],
            session: [9; 16],
            time: 0,
            clouds: self.clouds.len() as u32,
            acknowledged_by: 1,
            at: Some(position(gone, 5)),
            deposed: Vec::new(),
            extensions: Vec::new(),
        };
        for cloud in &mut self.clouds {
            cloud.put(&fence, None);
        }
    }

    /// The second device is a copy of the first one's folder, opened elsewhere.
    pub(crate) fn clone_the_first(&mut self) {
        self.devices[1] = self.devices[0].copied([200; 16], self.devices[1].script);
    }

    /// Everything that can happen next.
    pub(crate) fn successors(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for i in 0..self.late.len() {
            let mut next = self.clone();
            let Late { cloud, fence, replaces } = next.late.remove(i);
            next.clouds[cloud].put(&fence, replaces);
            all.push(next);
        }
        for device in 0..2 {
            self.steps_of(device, &mut all);
        }
        all
    }

    fn steps_of(&self, device: usize, all: &mut Vec<Self>) {
        if self.devices[device].is_done() {
            return;
        }
        if !self.devices[device].is_running() {
            // Beginning costs no call; what a restore sees beside the fence may differ.
            let uploaded = self.devices[1 - device].uploaded();
            for choice in self.devices[device].beginnings(uploaded) {
                let mut next = self.clone();
                next.devices[device] = choice;
                next.settle(device);
                all.push(next);
            }
            return;
        }
        if self.faults.crashes > 0 {
            let mut next = self.clone();
            next.faults.crashes -= 1;
            next.devices[device].crash();
            all.push(next);
        }
        for cloud in 0..self.clouds.len() {
            let mut asked = self.clone();
            let Some(step) = asked.devices[device].step(cloud) else { continue };
            asked.answers(device, cloud, step, all);
        }
    }

    /// Each way in which a call can end.
    fn answers(&self, device: usize, cloud: usize, step: Step<u32>, all: &mut Vec<Self>) {
        let mut end = |mut next: Self, answer, fault: bool| {
            if fault {
                if next.faults.calls == 0 {
                    return;
                }
                next.faults.calls -= 1;
            }
            next.devices[device].answer(cloud, answer);
            next.settle(device);
            all.push(next);
        };
        match step {
            Step::Done(_) => {}
            Step::Get => {
                end(self.clone(), FenceAnswer::Found(self.clouds[cloud].object.clone()), false);
                end(self.clone(), FenceAnswer::Unknown, true);
            }
            Step::Put { fence, replaces } => {
                let replaces = self.devices[device].condition(replaces, &self.clouds[cloud]);
                let mut landed = self.clone();
                let answer = match landed.clouds[cloud].put(&fence, replaces) {
                    Some(tag) => FenceAnswer::Stored(tag),
                    None => FenceAnswer::Conflict,
                };
                end(landed.clone(), answer, false);
                // It landed and the answer was lost; it was lost itself; it lands later; a busy
                // service speaks of a conflict where there is none.
                end(landed, FenceAnswer::Unknown, true);
                end(self.clone(), FenceAnswer::Unknown, true);
                end(self.clone(), FenceAnswer::Conflict, true);
                let mut later = self.clone();
                later.late.push(Late { cloud, fence, replaces });
                end(later, FenceAnswer::Unknown, true);
            }
        }
    }

    /// A device whose calls have all ended draws its conclusion.
    fn settle(&mut self, device: usize) {
        let (acknowledged, taken) = self.devices[device].conclude();
        for one in acknowledged {
            if !self.acknowledged.contains(&one) {
                self.acknowledged.push(one);
                self.acknowledged.sort_unstable();
            }
        }
        self.taken.extend(taken);
    }

    /// What must never be.
    pub(crate) fn violation(&self) -> Option<String> {
        for (folder, epoch, base) in &self.taken {
            let holds = |one: &Acknowledged| {
                base.is_some_and(|base| base.writer == one.writer && base.sequence >= one.sequence)
            };
            // What was acknowledged in an earlier epoch is in the base, or in what it was made of.
            let lost = self
                .acknowledged
                .iter()
                .find(|one| one.epoch + 1 == *epoch && one.folder != *folder && !holds(one));
            if let Some(lost) = lost {
                return Some(format!("takeover in epoch {epoch} on {base:?} loses {lost:?}"));
            }
        }
        for a in &self.acknowledged {
            for b in &self.acknowledged {
                if a.epoch == b.epoch && a.folder != b.folder {
                    return Some(format!(
                        "two folders are acknowledged in one epoch: {a:?}, {b:?}"
                    ));
                }
            }
        }
        for a in &self.taken {
            for b in &self.taken {
                if a.1 == b.1 && a.0 != b.0 {
                    return Some(format!("two takeovers in one epoch: {a:?}, {b:?}"));
                }
            }
        }
        None
    }
}
