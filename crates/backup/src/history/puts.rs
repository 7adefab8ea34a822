//! Which openings of the folder were the last to put something into a cloud.
//!
//! A put may land though nobody hears of it: the folder is locked, the process ends, the answer is
//! lost. If the cloud is away from then on, no later look sees what landed, and by the time it comes
//! back the session that put it may be forgotten. So these are remembered beside the newest ones.

use serde::{Deserialize, Serialize};

use super::History;
use crate::codec;

/// The extension of a history with all of them.
const PUTS: u32 = 1;

/// How many sessions are remembered for each cloud: as many as heads of one writer are looked at.
const SESSIONS: usize = 8;

/// For how many clouds, and for each of the two kinds: of those that left the settings, too.
const CLOUDS: usize = 64;

/// What a session puts that carries its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Put {
    /// A head.
    Head,
    /// The fencing head.
    Fence,
}

/// The sessions that were the last to put something of a kind into a cloud, oldest first.
#[derive(Debug, Serialize, Deserialize)]
struct Puts {
    #[serde(with = "codec::text")]
    cloud: String,
    what: Put,
    sessions: Vec<[u8; 16]>,
}

impl History {
    /// Notes a session that is about to put something into a cloud.
    pub fn note_put(&mut self, cloud: &str, what: Put, session: [u8; 16]) {
        let mut all = self.puts();
        let at = all.iter().position(|puts| puts.cloud == cloud && puts.what == what);
        let new = || Puts { cloud: cloud.to_owned(), what, sessions: Vec::new() };
        let mut puts = at.map_or_else(new, |at| all.remove(at));
        puts.sessions.retain(|known| *known != session);
        puts.sessions.push(session);
        puts.sessions.drain(..puts.sessions.len().saturating_sub(SESSIONS));
        all.push(puts);
        all.drain(..all.len().saturating_sub(CLOUDS));
        self.extensions.retain(|(id, _)| *id != PUTS);
        self.extensions.push((PUTS, codec::encode(&all)));
    }

    /// The sessions that were the last to put something into any of the clouds. What they put may
    /// still be there, and is this folder's.
    pub fn sessions_that_put(&self) -> Vec<[u8; 16]> {
        self.puts().into_iter().flat_map(|puts| puts.sessions).collect()
    }

    fn puts(&self) -> Vec<Puts> {
        let found = self.extensions.iter().find(|(id, _)| *id == PUTS);
        // What a later version says in a way that is not read here says nothing here.
        found.and_then(|(_, bytes)| codec::decode("puts", bytes).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_put_last_into_each_cloud_is_remembered_whatever_happens_in_the_others() {
        let mut history = History::default();
        history.note_put("away", Put::Fence, [200; 16]);
        history.note_put("away", Put::Head, [201; 16]);
        for n in 0..100 {
            history.note_put("near", Put::Head, [n; 16]);
            history.note_put("near", Put::Head, [n; 16]);
        }
        let mut left = vec![[200; 16], [201; 16]];
        left.extend((92..100).map(|n| [n; 16]));
        assert_eq!(history.sessions_that_put(), left);
        for n in 0..1000 {
            history.note_put(&format!("cloud {n}"), Put::Head, [7; 16]);
        }
        assert_eq!(history.sessions_that_put(), [[7; 16]; CLOUDS]);
    }
}
