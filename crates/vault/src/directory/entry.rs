//! What is known of one name. There may be a million of them, so it is packed.

use std::num::NonZeroU64;

use super::Home;

/// Sixteen bytes.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Where it lies in the pages: the page, if it is in one, and the slot there.
    page: Option<NonZeroU64>,
    slot: u32,
    /// [`VISIBLE`], [`SUBMITTED`], and above them the number of changes that are not decided, or failed.
    state: u32,
}

const VISIBLE: u32 = 1;
const SUBMITTED: u32 = 2;
const ONE_CHANGE: u32 = 4;

impl Entry {
    /// Of a name that is durable.
    pub(super) fn at_rest(home: Option<Home>) -> Self {
        let mut entry = Self { state: VISIBLE | SUBMITTED, ..Self::default() };
        entry.set_home(home);
        entry
    }

    pub(super) fn home(&self) -> Option<Home> {
        self.page.map(|page| Home { page, slot: self.slot })
    }

    pub(super) fn set_home(&mut self, home: Option<Home>) {
        self.page = home.map(|home| home.page);
        self.slot = home.map_or(0, |home| home.slot);
    }

    pub(super) fn is_visible(&self) -> bool {
        self.state & VISIBLE != 0
    }

    pub(super) fn is_submitted(&self) -> bool {
        self.state & SUBMITTED != 0
    }

    pub(super) fn set_submitted(&mut self, submitted: bool) {
        self.state = if submitted { self.state | SUBMITTED } else { self.state & !SUBMITTED };
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.state >= ONE_CHANGE
    }

    /// A change of it has been taken. Thousands of millions of them do not fit into memory.
    pub(super) fn begin_change(&mut self) {
        self.state = self.state.saturating_add(ONE_CHANGE);
    }

    /// A change of it has become durable.
    pub(super) fn end_change(&mut self) {
        if self.is_in_flight() {
            self.state -= ONE_CHANGE;
        }
    }

    /// Makes it visible or not; of so many that were visible, how many are now.
    pub(super) fn show(&mut self, visible: bool, of: usize) -> usize {
        let others = of - usize::from(self.is_visible());
        self.state = if visible { self.state | VISIBLE } else { self.state & !VISIBLE };
        others + usize::from(visible)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_does_not_touch_the_rest() {
        assert_eq!(size_of::<Entry>(), 16);
        let home = Some(Home { page: NonZeroU64::MAX, slot: u32::MAX });
        let mut entry = Entry::at_rest(home);
        assert!(entry.is_visible() && entry.is_submitted() && !entry.is_in_flight());
        entry.begin_change();
        entry.begin_change();
        assert_eq!(entry.show(false, 5), 4);
        entry.set_submitted(false);
        assert!(!entry.is_visible() && !entry.is_submitted() && entry.is_in_flight());
        assert!(!entry.is_gone() && entry.home() == home);
        entry.end_change();
        assert!(entry.is_in_flight());
        entry.end_change();
        entry.end_change();
        assert!(!entry.is_in_flight() && entry.is_gone());
        assert_eq!(entry.show(true, 0), 1);
        entry.set_submitted(true);
        assert!(entry.is_visible() && entry.is_submitted() && !entry.is_in_flight());
        entry.set_home(None);
        assert_eq!(entry.home(), None);
    }
}
