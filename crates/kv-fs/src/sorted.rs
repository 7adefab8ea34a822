//! A sorted sequence in chunks: ordered like a tree, and hardly larger than an array.

use std::cmp::Ordering;

/// Items of one chunk at most. Large enough that chunks cost little beside their items, small
/// enough that moving half of one for an insertion takes no time.
const CHUNK: usize = 128;
/// Room that a chunk gets beyond what it needs when it grows.
const SPARE: usize = 4;

/// The front of what items are ordered by, as numbers: most comparisons need to look no further,
/// say into a name that lies elsewhere in memory.
pub(crate) type Rank = [u64; 2];

/// What is ordered by its rank at first, and by something that the callers know where ranks are
/// the same.
pub(crate) trait Ranked {
    fn rank(&self) -> Rank;
}

/// Items in ascending order.
///
/// **Invariant:** no chunk is empty.
#[derive(Debug)]
pub(crate) struct Sorted<T> {
    chunks: Vec<Vec<T>>,
    /// The rank of the first item of each chunk, side by side.
    ranks: Vec<Rank>,
}

/// Where an item is, or would be. Valid until the next insertion or removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    chunk: usize,
    item: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), ranks: Vec::new() }
    }
}

impl<T: Ranked> Sorted<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Where the item of this rank is to which `order` answers `Equal`; else, as an error, where
    /// it belongs. `order` tells how an item of this rank compares with what is looked for.
    pub(crate) fn find(&self, rank: Rank, order: impl Fn(&T) -> Ordering) -> Result<At, At> {
        let order = |item: &T| item.rank().cmp(&rank).then_with(|| order(item));
        let Some(chunk) = self.chunks.len().checked_sub(1) else {
            return Err(At { chunk: 0, item: 0 });
        };
        // Most of what is new comes at the end.
        if let Some((last, rest)) = self.chunks.last().and_then(|items| items.split_last())
            && order(last) == Ordering::Less
        {
            return Err(At { chunk, item: rest.len() + 1 });
        }
        let below = self.ranks.partition_point(|first| *first < rank);
        let same = self.ranks.partition_point(|first| *first <= rank);
        let begins_below =
            |items: &Vec<T>| items.first().is_some_and(|item| order(item) != Ordering::Greater);
        let same = self.chunks.get(below..same).unwrap_or_default().partition_point(begins_below);
        let chunk = (below + same).saturating_sub(1);
        let items = self.chunks.get(chunk).map_or(&[][..], Vec::as_slice);
        match items.binary_search_by(order) {
            Ok(item) => Ok(At { chunk, item }),
            Err(item) => Err(At { chunk, item }),
        }
    }

    pub(crate) fn get(&self, at: At) -> Option<&T> {
        self.chunks.get(at.chunk)?.get(at.item)
    }

    pub(crate) fn get_mut(&mut self, at: At) -> Option<&mut T> {
        self.chunks.get_mut(at.chunk)?.get_mut(at.item)
    }

    /// Puts an item where [`Sorted::find`] has said it belongs.
    pub(crate) fn insert(&mut self, at: At, item: T) {
        let Some(items) = self.chunks.get_mut(at.chunk) else {
            self.ranks.push(item.rank());
            self.chunks.push(vec![item]);
            return;
        };
        let place = at.item.min(items.len());
        if items.len() < CHUNK {
            if items.len() == items.capacity() {
                items.reserve_exact((items.len() / 8 + SPARE).min(CHUNK - items.len()));
            }
            items.insert(place, item);
            self.rank(at.chunk);
            return;
        }
        // Items that come in their order fill one chunk after the other.
        let middle = if place == items.len() { place } else { CHUNK / 2 };
        let mut upper = Vec::with_capacity(items.len() - middle + SPARE);
        upper.extend(items.drain(middle..));
        if place >= middle {
            upper.insert(place - middle, item);
        } else {
            items.insert(place, item);
        }
        items.shrink_to(items.len() + SPARE);
        self.chunks.insert(at.chunk + 1, upper);
        self.ranks.insert(at.chunk + 1, Rank::default());
        self.rank(at.chunk);
        self.rank(at.chunk + 1);
    }

    /// Looks up the rank of a chunk's first item anew.
    fn rank(&mut self, chunk: usize) {
        let first = self.chunks.get(chunk).and_then(|items| items.first());
        if let (Some(first), Some(rank)) = (first, self.ranks.get_mut(chunk)) {
            *rank = first.rank();
        }
    }

    pub(crate) fn remove(&mut self, at: At) -> Option<T> {
        let items = self.chunks.get_mut(at.chunk)?;
        if at.item >= items.len() {
            return None;
        }
        let item = items.remove(at.item);
        let left = items.len();
        if left == 0 {
            self.chunks.remove(at.chunk);
            self.ranks.remove(at.chunk);
            return Some(item);
        }
        if left < CHUNK / 4 {
            items.shrink_to(left + SPARE);
        }
        self.rank(at.chunk);
        if left < CHUNK / 4 {
            self.join(at.chunk.saturating_sub(1));
            self.join(at.chunk);
        }
        Some(item)
    }

    /// Joins a chunk with the next one if both are small.
    fn join(&mut self, chunk: usize) {
        let len = |at| self.chunks.get(at).map_or(CHUNK, Vec::len);
        if len(chunk) + len(chunk + 1) > CHUNK / 2 {
            return;
        }
        let mut next = self.chunks.remove(chunk + 1);
        self.ranks.remove(chunk + 1);
        if let Some(items) = self.chunks.get_mut(chunk) {
            items.append(&mut next);
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The items from a place on.
    pub(crate) fn iter_from(&self, at: At) -> impl Iterator<Item = &T> {
        let (first, rest) = self.chunks.get(at.chunk..).and_then(<[_]>::split_first).unzip();
        let first: &[T] = first.and_then(|items: &Vec<T>| items.get(at.item..)).unwrap_or_default();
        first.iter().chain(rest.unwrap_or_default().iter().flatten())
    }

    /// The items before a place, the last one first.
    pub(crate) fn iter_before(&self, at: At) -> impl Iterator<Item = &T> {
        let last: &[T] =
            self.chunks.get(at.chunk).and_then(|c| c.get(..at.item)).unwrap_or_default();
        let before = self.chunks.get(..at.chunk).unwrap_or_default();
        last.iter().rev().chain(before.iter().flatten().rev())
    }

    /// Takes all items out, in order.
    pub(crate) fn drain(self) -> impl Iterator<Item = T> {
        self.chunks.into_iter().flatten()
    }
}

/// Items that are in order already. What is not makes later searches fail, so callers must know.
impl<T: Ranked> FromIterator<T> for Sorted<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let mut chunks = Vec::new();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.extend(items.by_ref().take(CHUNK));
            if chunk.len() < CHUNK {
                chunk.shrink_to_fit();
                if !chunk.is_empty() {
                    chunks.push(chunk);
                }
                chunks.shrink_to_fit();
                let ranks = chunks.iter().filter_map(|items: &Vec<T>| items.first());
                let ranks = ranks.map(Ranked::rank).collect();
                return Self { chunks, ranks };
            }
            chunks.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kv_core::testing::Random;

    use super::*;

    /// Some numbers have the same rank.
    impl Ranked for u32 {
        fn rank(&self) -> Rank {
            [u64::from(*self >> 8), u64::from(*self >> 4) % 16]
        }
    }

    fn put(sorted: &mut Sorted<u32>, number: u32) -> bool {
        match sorted.find(number.rank(), |item| item.cmp(&number)) {
            Ok(_) => false,
            Err(at) => {
                sorted.insert(at, number);
                true
            }
        }
    }

    fn take(sorted: &mut Sorted<u32>, number: u32) -> bool {
        sorted
            .find(number.rank(), |item| item.cmp(&number))
            .is_ok_and(|at| sorted.remove(at) == Some(number))
    }

    fn check(sorted: &Sorted<u32>, model: &BTreeSet<u32>, around: u32) {
        assert!(sorted.iter().eq(model.iter()));
        assert!(sorted.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
        assert_eq!(sorted.is_empty(), model.is_empty());
        assert!(sorted.ranks.iter().copied().eq(sorted.chunks.iter().map(|c| c[0].rank())));
        let at = sorted.find(around.rank(), |item| item.cmp(&around));
        assert_eq!(at.is_ok(), model.contains(&around));
        let at = at.unwrap_or_else(|at| at);
        assert!(sorted.iter_from(at).eq(model.range(around..)));
        assert!(sorted.iter_before(at).eq(model.range(..around).rev()));
    }

    /// Steps of many insertions or removals each: ascending, descending and scattered.
    #[test]
    fn it_is_what_a_tree_is() {
        let mut random = Random::seeded(1);
        let mut below = |end: u64| random.below(end) as u32;
        for begin in 0..400 {
            let mut model: BTreeSet<u32> = (0..begin).collect();
            let mut sorted: Sorted<u32> = (0..begin).collect();
            check(&sorted, &model, begin / 2);
            for _ in 0..30 {
                let (puts, way, first, count) =
                    (below(2) == 0, below(3), below(1000), 1 + below(200));
                for number in first..first + count {
                    let number = match way {
                        0 => number,
                        1 => 2 * first + count - number,
                        _ => number * 7919 % 1000,
                    };
                    if puts {
                        assert_eq!(put(&mut sorted, number), model.insert(number));
                    } else {
                        assert_eq!(take(&mut sorted, number), model.remove(&number));
                    }
                }
                check(&sorted, &model, first + count / 2);
            }
            assert!(sorted.drain().eq(model));
        }
    }

    /// Whatever the order they come in, items take little more than their own room.
    #[test]
    fn chunks_are_filled_well() {
        let scattered = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761));
        let orders: [(Vec<u32>, usize); 3] = [
            ((0..20_000).collect(), 105),
            ((0..20_000).rev().collect(), 115),
            (scattered.collect(), 125),
        ];
        for (numbers, percent) in orders {
            let mut sorted = Sorted::default();
            for &number in &numbers {
                put(&mut sorted, number);
            }
            let room: usize = sorted.chunks.iter().map(Vec::capacity).sum();
            assert!(room * 100 <= numbers.len() * percent, "{room} for {}", numbers.len());
            assert!(sorted.chunks.len() <= numbers.len() / (CHUNK / 2) + 1);
            for &number in numbers.iter().filter(|number| *number % 16 != 0) {
                assert!(take(&mut sorted, number));
            }
            let (left, room) =
                (sorted.iter().count(), sorted.chunks.iter().map(Vec::capacity).sum::<usize>());
            assert!(room <= 4 * left && sorted.chunks.len() <= left / (CHUNK / 8) + 2, "{room}");
        }
    }
}
