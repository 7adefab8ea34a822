//! A sorted sequence in chunks: ordered like a tree, and hardly larger than an array.

use std::cmp::Ordering;

/// Items of one chunk at most. Large enough that chunks cost little beside their items, small
/// enough that moving half of one for an insertion takes no time.
const CHUNK: usize = 128;
/// Ranks that are compared in one go.
const STEP: usize = 16;
/// Room that a chunk gets beyond what it needs when it grows.
const SPARE: usize = 4;

/// Items in ascending order: by a rank, which is a number that lies beside those of the
/// neighbours, and where ranks are the same by something that the callers know.
///
/// **Invariant:** no chunk is empty.
#[derive(Debug)]
pub(crate) struct Sorted<R, T> {
    chunks: Vec<Chunk<R, T>>,
    /// The rank of the first item of each chunk.
    firsts: Vec<R>,
}

/// As many ranks as items.
#[derive(Debug)]
struct Chunk<R, T> {
    ranks: Vec<R>,
    items: Vec<T>,
}

/// Where an item is, or would be. Valid until the next insertion or removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    chunk: usize,
    item: usize,
}

impl<R, T> Default for Sorted<R, T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), firsts: Vec::new() }
    }
}

impl<R: Ord + Copy, T> Sorted<R, T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Where the item of this rank is to which `order` answers `Equal`; else, as an error, where
    /// it belongs. `order` tells how an item of this rank compares with what is looked for.
    pub(crate) fn find(&self, rank: R, order: impl Fn(&T) -> Ordering) -> Result<At, At> {
        let Some(chunk) = self.chunks.len().checked_sub(1) else {
            return Err(At { chunk: 0, item: 0 });
        };
        // Most of what is new comes at the end.
        if let Some(last) = self.chunks.last()
            && last.ranks.last().is_some_and(|last| *last < rank)
        {
            return Err(At { chunk, item: last.items.len() });
        }
        let below = self.firsts.partition_point(|first| *first < rank);
        let same = self.firsts.partition_point(|first| *first <= rank);
        let same = self.chunks.get(below..same).unwrap_or_default();
        let same = same.partition_point(|chunk| {
            chunk.items.first().is_some_and(|item| order(item) != Ordering::Greater)
        });
        let chunk = (below + same).saturating_sub(1);
        let found = self.chunks.get(chunk).map_or(Err(0), |chunk| chunk.find(rank, order));
        found.map(|item| At { chunk, item }).map_err(|item| At { chunk, item })
    }

    pub(crate) fn get(&self, at: At) -> Option<&T> {
        self.chunks.get(at.chunk)?.items.get(at.item)
    }

    pub(crate) fn get_mut(&mut self, at: At) -> Option<&mut T> {
        self.chunks.get_mut(at.chunk)?.items.get_mut(at.item)
    }

    /// Puts an item where [`Sorted::find`] has said it belongs.
    pub(crate) fn insert(&mut self, at: At, rank: R, item: T) {
        let Some(chunk) = self.chunks.get_mut(at.chunk) else {
            self.firsts.push(rank);
            self.chunks.push(Chunk { ranks: vec![rank], items: vec![item] });
            return;
        };
        let len = chunk.items.len();
        let place = at.item.min(len);
        if len < CHUNK {
            chunk.insert(place, rank, item);
            self.renew_first(at.chunk);
            return;
        }
        // Items that come in their order fill one chunk after the other.
        let middle = if place == len { len } else { CHUNK / 2 };
        let mut upper = chunk.split_off(middle);
        if place >= middle {
            upper.insert(place - middle, rank, item);
        } else {
            chunk.insert(place, rank, item);
        }
        let first = upper.ranks.first().copied().unwrap_or(rank);
        self.chunks.insert(at.chunk + 1, upper);
        self.firsts.insert(at.chunk + 1, first);
        self.renew_first(at.chunk);
    }

    pub(crate) fn remove(&mut self, at: At) -> Option<T> {
        let chunk = self.chunks.get_mut(at.chunk)?;
        if at.item >= chunk.items.len() {
            return None;
        }
        chunk.ranks.remove(at.item);
        let item = chunk.items.remove(at.item);
        let left = chunk.items.len();
        if left == 0 {
            self.chunks.remove(at.chunk);
            self.firsts.remove(at.chunk);
            return Some(item);
        }
        if left < CHUNK / 4 {
            chunk.shrink();
        }
        self.renew_first(at.chunk);
        if left < CHUNK / 4 {
            self.join(at.chunk.saturating_sub(1));
            self.join(at.chunk);
        }
        Some(item)
    }

    /// Joins a chunk with the next one if both are small.
    fn join(&mut self, chunk: usize) {
        let len = |at| self.chunks.get(at).map_or(CHUNK, Chunk::len);
        if len(chunk) + len(chunk + 1) > CHUNK / 2 {
            return;
        }
        let mut next = self.chunks.remove(chunk + 1);
        self.firsts.remove(chunk + 1);
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            chunk.ranks.append(&mut next.ranks);
            chunk.items.append(&mut next.items);
        }
    }

    fn renew_first(&mut self, chunk: usize) {
        let first = self.chunks.get(chunk).and_then(|chunk| chunk.ranks.first());
        if let (Some(first), Some(place)) = (first, self.firsts.get_mut(chunk)) {
            *place = *first;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (R, &T)> {
        self.chunks.iter().flat_map(Chunk::iter)
    }

    /// The items from a place on.
    pub(crate) fn iter_from(&self, at: At) -> impl Iterator<Item = (R, &T)> {
        let first = self.chunks.get(at.chunk).into_iter();
        let rest = self.chunks.get(at.chunk + 1..).unwrap_or_default();
        first
            .flat_map(move |chunk| chunk.iter().skip(at.item))
            .chain(rest.iter().flat_map(Chunk::iter))
    }

    /// The items before a place, the last one first.
    pub(crate) fn iter_before(&self, at: At) -> impl Iterator<Item = (R, &T)> {
        let last = self.chunks.get(at.chunk).into_iter();
        let before = self.chunks.get(..at.chunk).unwrap_or_default();
        let last = last.flat_map(move |chunk| chunk.iter().take(at.item).rev());
        last.chain(before.iter().rev().flat_map(|chunk| chunk.iter().rev()))
    }

    /// Takes all items out, in order.
    pub(crate) fn drain(self) -> impl Iterator<Item = (R, T)> {
        self.chunks.into_iter().flat_map(|chunk| chunk.ranks.into_iter().zip(chunk.items))
    }
}

impl<R: Ord + Copy, T> Chunk<R, T> {
    fn find(&self, rank: R, order: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
        // Faster than halving, where each step waits for what the one before has fetched: here the
        // processor fetches side by side what each of two steps looks at.
        let is_below = |other: &R| usize::from(*other < rank);
        let steps = self.ranks.iter().step_by(STEP).map(is_below).sum::<usize>();
        let begin = steps.saturating_sub(1) * STEP;
        let step = self.ranks.get(begin..).unwrap_or_default();
        let below = begin + step.iter().take(STEP).map(is_below).sum::<usize>();
        let same = self.ranks.get(below..).unwrap_or_default();
        let same = same.iter().take_while(|other| **other == rank).count();
        let items = self.items.get(below..below + same).unwrap_or_default();
        match items.binary_search_by(order) {
            Ok(item) => Ok(below + item),
            Err(item) => Err(below + item),
        }
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn insert(&mut self, place: usize, rank: R, item: T) {
        let len = self.items.len();
        if len == self.items.capacity() || len == self.ranks.capacity() {
            let more = (len / 8 + SPARE).min(CHUNK.saturating_sub(len)).max(1);
            self.ranks.reserve_exact(more);
            self.items.reserve_exact(more);
        }
        self.ranks.insert(place, rank);
        self.items.insert(place, item);
    }

    fn split_off(&mut self, middle: usize) -> Self {
        let room = self.items.len() - middle + SPARE;
        let mut upper = Self { ranks: Vec::with_capacity(room), items: Vec::with_capacity(room) };
        upper.ranks.extend(self.ranks.drain(middle..));
        upper.items.extend(self.items.drain(middle..));
        if middle < CHUNK {
            self.shrink();
        }
        upper
    }

    fn shrink(&mut self) {
        self.ranks.shrink_to(self.items.len() + SPARE);
        self.items.shrink_to(self.items.len() + SPARE);
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (R, &T)> + ExactSizeIterator {
        self.ranks.iter().copied().zip(&self.items)
    }
}

/// Items that are in order already. What is not makes later searches fail, so callers must know.
impl<R: Ord + Copy, T> FromIterator<(R, T)> for Sorted<R, T> {
    fn from_iter<I: IntoIterator<Item = (R, T)>>(items: I) -> Self {
        let mut items = items.into_iter().peekable();
        let mut sorted = Self::default();
        while items.peek().is_some() {
            let mut chunk =
                Chunk { ranks: Vec::with_capacity(CHUNK), items: Vec::with_capacity(CHUNK) };
            for (rank, item) in items.by_ref().take(CHUNK) {
                chunk.ranks.push(rank);
                chunk.items.push(item);
            }
            if chunk.items.len() < CHUNK {
                chunk.ranks.shrink_to_fit();
                chunk.items.shrink_to_fit();
            }
            sorted.firsts.extend(chunk.ranks.first());
            sorted.chunks.push(chunk);
        }
        sorted.chunks.shrink_to_fit();
        sorted.firsts.shrink_to_fit();
        sorted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kv_core::testing::Random;

    use super::*;

    /// Some numbers have the same rank.
    fn rank(number: u32) -> u32 {
        number / 16
    }

    fn put(sorted: &mut Sorted<u32, u32>, number: u32) -> bool {
        match sorted.find(rank(number), |item| item.cmp(&number)) {
            Ok(_) => false,
            Err(at) => {
                sorted.insert(at, rank(number), number);
                true
            }
        }
    }

    fn take(sorted: &mut Sorted<u32, u32>, number: u32) -> bool {
        let at = sorted.find(rank(number), |item| item.cmp(&number));
        at.is_ok_and(|at| sorted.get(at) == Some(&number) && sorted.remove(at) == Some(number))
    }

    fn check(sorted: &Sorted<u32, u32>, model: &BTreeSet<u32>, around: u32) {
        let ranked = |number: &u32| (rank(*number), *number);
        let same = |(rank, number): (u32, &u32)| (rank, *number);
        assert!(sorted.iter().map(same).eq(model.iter().map(ranked)));
        for (chunk, first) in sorted.chunks.iter().zip(&sorted.firsts) {
            assert!((1..=CHUNK).contains(&chunk.items.len()));
            assert_eq!((chunk.ranks.len(), chunk.ranks[0]), (chunk.items.len(), *first));
        }
        assert_eq!(sorted.chunks.len(), sorted.firsts.len());
        assert_eq!(sorted.is_empty(), model.is_empty());
        let at = sorted.find(rank(around), |item| item.cmp(&around));
        assert_eq!(at.is_ok(), model.contains(&around));
        let at = at.unwrap_or_else(|at| at);
        assert!(sorted.iter_from(at).map(same).eq(model.range(around..).map(ranked)));
        assert!(sorted.iter_before(at).map(same).eq(model.range(..around).rev().map(ranked)));
    }

    /// Steps of many insertions or removals each: ascending, descending and scattered.
    #[test]
    fn it_is_what_a_tree_is() {
        let mut random = Random::seeded(1);
        let mut below = |end: u64| random.below(end) as u32;
        for begin in 0..400 {
            let mut model: BTreeSet<u32> = (0..begin).collect();
            let mut sorted: Sorted<u32, u32> = (0..begin).map(|n| (rank(n), n)).collect();
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
            assert!(sorted.drain().map(|(_, number)| number).eq(model));
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
            let room = |sorted: &Sorted<u32, u32>| {
                let rooms = sorted.chunks.iter();
                rooms.map(|c| c.items.capacity().max(c.ranks.capacity())).sum::<usize>()
            };
            let taken = room(&sorted);
            assert!(taken * 100 <= numbers.len() * percent, "{taken} for {}", numbers.len());
            assert!(sorted.chunks.len() <= numbers.len() / (CHUNK / 2) + 1);
            for &number in numbers.iter().filter(|number| *number % 16 != 0) {
                assert!(take(&mut sorted, number));
            }
            let (left, taken) = (sorted.iter().count(), room(&sorted));
            assert!(taken <= 4 * left && sorted.chunks.len() <= left / (CHUNK / 8) + 2, "{taken}");
        }
    }
}
