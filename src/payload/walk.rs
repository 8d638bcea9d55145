//! Walks over ordered lists side by side: the one loop behind deltas, merges and comparisons.

use std::cmp::Ordering;

/// Walks two lists; equal items are met together.
pub(super) fn pair<I: Copy>(
    old: impl Iterator<Item = I>,
    new: impl Iterator<Item = I>,
    order: impl Fn(I, I) -> Ordering,
    mut met: impl FnMut(Option<I>, Option<I>),
) {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    loop {
        let side = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => order(*a, *b),
        };
        match side {
            Ordering::Less => met(old.next(), None),
            Ordering::Greater => met(None, new.next()),
            Ordering::Equal => met(old.next(), new.next()),
        }
    }
}

/// How many items of a list come before this one. Costs twice the logarithm of that.
pub(super) fn place<T: Ord>(list: &[T], item: &T) -> usize {
    let mut end = 1;
    while list.get(end - 1).is_some_and(|last| last < item) {
        end *= 2;
    }
    // All of the first half came before.
    let begin = end / 2;
    let open = list.get(begin..end.min(list.len())).unwrap_or_default();
    begin + open.partition_point(|other| other < item)
}

/// Walks any number of lists, in each of which an item stands once; equal items are met
/// together, each with the position of its list, ascending. Costs a comparison for each list at
/// each step, which for the few lists of a configuration is less than a heap would.
pub(super) fn all<I: Copy>(
    lists: impl Iterator<Item = impl Iterator<Item = I>>,
    order: impl Fn(I, I) -> Ordering,
    mut met: impl FnMut(&[(usize, I)]),
) {
    let mut lists: Vec<_> = lists.map(Iterator::peekable).collect();
    let mut together: Vec<(usize, I)> = Vec::with_capacity(lists.len());
    loop {
        together.clear();
        for (position, list) in lists.iter_mut().enumerate() {
            let Some(item) = list.peek().copied() else {
                continue;
            };
            match together.first().map(|(_, first)| order(item, *first)) {
                Some(Ordering::Greater) => continue,
                Some(Ordering::Less) => together.clear(),
                Some(Ordering::Equal) | None => {}
            }
            together.push((position, item));
        }
        if together.is_empty() {
            return;
        }
        for (position, _) in &together {
            if let Some(list) = lists.get_mut(*position) {
                list.next();
            }
        }
        met(&together);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_where_a_search_from_the_front_would_end() {
        for length in 0..40_u32 {
            let list: Vec<u32> = (0..length).map(|number| number * 2).collect();
            for item in 0..=length * 2 {
                let before = list.iter().filter(|other| **other < item).count();
                assert_eq!(place(&list, &item), before, "{item} in {length}");
            }
        }
    }
}
