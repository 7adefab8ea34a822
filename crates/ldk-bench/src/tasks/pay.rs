//! Two nodes pay each other, one payment after the other, as fast as their stores let them.

use std::{fs, path::Path, sync::Arc, time::Instant};

use bench_report::Result;
use lightning::{
    sign::KeysManager,
    util::{
        persist::{KVStoreSync, MonitorUpdatingPersister, read_channel_monitors},
        ser::Writeable,
    },
};
use serde::{Deserialize, Serialize};

use super::Keeps;
use crate::{
    bench::entries,
    network::{self, SEEDS, channels, failed},
    small::{Fees, Parts, Persister, Quiet, Sent, Small, connect},
    stores::{Store, Who},
};

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Paid {
    pub(crate) payments: usize,
    pub(crate) seconds: f64,
}

/// As ldk-node has it.
const UPDATES_UNTIL_WHOLE: u64 = 100;

/// A node and the store it waits for.
struct Storing {
    node: Small,
    store: Store,
}

type Updating = MonitorUpdatingPersister<
    Arc<Store>,
    Arc<Quiet>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Sent>,
    Arc<Fees>,
>;

impl Storing {
    /// A prepared node, on a new store in this folder.
    fn load(
        (who, keeps): (Who, Keeps),
        seed: &[u8; 32],
        image: &Path,
        folder: &Path,
    ) -> Result<Self> {
        fs::create_dir(folder)?;
        let store = Store::open(who, folder)?;
        for (primary, key, value) in entries(image)? {
            store.write(&primary, "", &key, value).map_err(failed)?;
        }
        let parts = Parts::new(seed);
        let persister: Arc<Persister> = match keeps {
            Keeps::Whole => Arc::new(store.clone()),
            Keeps::Updates => Arc::new(Updating::new(
                Arc::new(store.clone()),
                parts.quiet.clone(),
                UPDATES_UNTIL_WHOLE,
                parts.keys.clone(),
                parts.keys.clone(),
                parts.sent.clone(),
                parts.fees.clone(),
            )),
        };
        let keys = parts.keys.clone();
        let read = read_channel_monitors(&store, keys.clone(), keys).map_err(failed)?;
        let manager = store.read("", "", "manager").map_err(failed)?;
        let node = Small::load(parts, persister, &manager, read).map_err(failed)?;
        Ok(Self { node, store })
    }

    /// As LDK's background processor does it.
    fn store_manager(&self) -> Result<()> {
        if self.node.manager.get_and_clear_needs_persistence() {
            let manager = self.node.manager.encode();
            self.store.write("", "", "manager", manager).map_err(failed)?;
        }
        Ok(())
    }
}

pub(super) fn run(how: (Who, Keeps), image: &Path, folder: &Path, seconds: f64) -> Result<Paid> {
    let [seed_a, seed_b] = SEEDS;
    let a = Storing::load(how, &seed_a, &image.join("a"), &folder.join("a"))?;
    let b = Storing::load(how, &seed_b, &image.join("b"), &folder.join("b"))?;
    connect(&a.node, &b.node);
    settle(&a, &b)?;
    let all = channels(&a.node);
    let mut payments = 0;
    let begun = Instant::now();
    // In turns over all channels, there and back.
    while begun.elapsed().as_secs_f64() < seconds {
        let (from, to) = if payments / all.len() % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let channel = all.get(payments % all.len()).ok_or("no channel can be used")?;
        network::pay(&from.node, &to.node, *channel)?;
        settle(&a, &b)?;
        payments += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let paid = a.node.paid() + b.node.paid();
    if paid != payments {
        return Err(format!("{paid} of {payments} payments have arrived").into());
    }
    Ok(Paid { payments, seconds })
}

/// Until both have nothing to say.
fn settle(a: &Storing, b: &Storing) -> Result<()> {
    let mut idle = 0;
    while idle < 2 {
        let mut any = false;
        for (one, other) in [(a, b), (b, a)] {
            one.node.handle_events();
            any |= one.node.deliver(&other.node, |_| ());
            one.store_manager()?;
            other.store_manager()?;
        }
        idle = if any { 0 } else { idle + 1 };
    }
    Ok(())
}
