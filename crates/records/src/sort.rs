//! Sorting many byte strings: eight bytes at a time, which the processor compares in one step.

/// Below this depth keys are compared as wholes: long ones must not make the recursion deep.
const DEEPEST: usize = 256;

/// The numbers 0 to `count` in the order of their keys; equal keys keep theirs.
pub(crate) fn sorted<'a>(count: u32, key: impl Fn(u32) -> &'a [u8]) -> Vec<u32> {
    let mut items: Vec<(u64, u32)> = (0..count).map(|item| (0, item)).collect();
    sort(&mut items, 0, &key);
    items.into_iter().map(|(_, item)| item).collect()
}

/// Sorts items whose keys agree up to `depth`.
fn sort<'a>(items: &mut [(u64, u32)], depth: usize, key: &impl Fn(u32) -> &'a [u8]) {
    if depth >= DEEPEST {
        return items.sort_by(|a, b| key(a.1).cmp(key(b.1)).then(a.1.cmp(&b.1)));
    }
    for (word, item) in &mut *items {
        *word = word_at(key(*item), depth);
    }
    items.sort_unstable();
    for run in items.chunk_by_mut(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        if run.iter().any(|(_, item)| key(*item).len() > depth + size_of::<u64>()) {
            sort(run, depth + size_of::<u64>(), key);
        } else {
            // Zeros at the end and the end itself look the same.
            run.sort_by_key(|(_, item)| (key(*item).len(), *item));
        }
    }
}

/// Eight bytes of a key, with zeros beyond its end.
fn word_at(key: &[u8], depth: usize) -> u64 {
    let rest = key.get(depth..).unwrap_or_default();
    if let Some(word) = rest.first_chunk() {
        return u64::from_be_bytes(*word);
    }
    let mut word = [0; size_of::<u64>()];
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(word)
}

/// Copies of the items, in an order that [`sorted`] gave.
pub(crate) fn in_order<'a, T: Clone>(
    items: &'a [T],
    order: &'a [u32],
) -> impl Iterator<Item = T> + 'a {
    order.iter().filter_map(|at| items.get(*at as usize).cloned())
}

/// A number of items. More than four thousand million do not fit into memory.
pub(crate) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        let beginning = prop::sample::select(vec![0usize, 3, 8, 16, 250, 256, 300]);
        let end = prop::collection::vec(0u8..3, 0..20);
        (beginning, end).prop_map(|(zeros, end)| [vec![0; zeros], end].concat())
    }

    proptest! {
        #[test]
        fn words_sort_as_bytes_do(keys in prop::collection::vec(any_key(), 0..60)) {
            let mut expected: Vec<u32> = (0..keys.len() as u32).collect();
            expected.sort_by(|a, b| keys[*a as usize].cmp(&keys[*b as usize]));
            prop_assert_eq!(sorted(keys.len() as u32, |item| &keys[item as usize]), expected);
        }
    }

    #[test]
    fn long_equal_keys_need_no_deep_stack() {
        let keys: Vec<Vec<u8>> =
            (0..4u8).map(|n| [vec![1; 1 << 20], vec![4 - n / 2]].concat()).collect();
        assert_eq!(sorted(4, |item| &keys[item as usize]), [2, 3, 0, 1]);
    }
}
