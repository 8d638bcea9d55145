//! Prefixes by what lies inside of what.
//!
//! Two prefixes are apart or one is inside of the other, so they form trees. Ordered by their last
//! address, descending, with the shorter one first, each stands behind all that cover it; and that
//! is the order in which VRPs come, so that a walk through both at once finds the prefixes
//! that cover each VRP without a search.

use ipnet::IpNet;

/// Prefixes of one family, each with the entries that have it. Immutable.
#[derive(Clone, Debug, Default)]
pub(super) struct Nest {
    nodes: Vec<Node>,
}

/// A prefix with its entries.
#[derive(Clone, Debug)]
pub(super) struct Node {
    first: u128,
    last: u128,
    len: u8,
    /// The place of the closest prefix that covers this one.
    parent: Option<usize>,
    /// The places of the entries, ascending.
    pub(super) entries: Vec<usize>,
}

/// How far a walk came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    next: usize,
    /// The closest of the prefixes that hold the address.
    current: Option<usize>,
}

/// An address and a prefix length, alike for both families: IPv4 in the upper 32 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    pub(super) first: u128,
    pub(super) len: u8,
}

impl Block {
    pub(super) const fn v4(address: u32, len: u8) -> Self {
        // A widening that `From` cannot do in a constant function.
        let [a, b, c, d] = address.to_be_bytes();
        let octets = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let first = u128::from_be_bytes(octets);
        Self { first, len }
    }

    pub(super) const fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(net) => Self::v4(net.addr().to_bits(), net.prefix_len()),
            IpNet::V6(net) => Self {
                first: net.addr().to_bits(),
                len: net.prefix_len(),
            },
        }
    }

    pub(super) fn last(self) -> u128 {
        let hosts = u128::MAX.checked_shr(self.len.into()).unwrap_or(0);
        self.first | hosts
    }
}

impl Nest {
    /// Costs a sort of the blocks, each of which comes with the place of its entry.
    pub(super) fn new(mut blocks: Vec<(Block, usize)>) -> Self {
        blocks.sort_unstable_by_key(|(block, entry)| (!block.last(), block.len, *entry));
        let mut nodes: Vec<Node> = Vec::new();
        for same in blocks.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((block, _)) = same.first() else {
                continue;
            };
            let mut parent = nodes.len().checked_sub(1);
            while let Some(node) = parent.and_then(|place| nodes.get(place))
                && node.first > block.first
            {
                parent = node.parent;
            }
            nodes.push(Node {
                first: block.first,
                last: block.last(),
                len: block.len,
                parent,
                entries: same.iter().map(|(_, entry)| *entry).collect(),
            });
        }
        Self { nodes }
    }

    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Goes on to an address that is not above the one before.
    #[inline]
    pub(super) fn advance(&self, walk: &mut Walk, address: u128) {
        while self
            .nodes
            .get(walk.next)
            .is_some_and(|node| node.last >= address)
        {
            walk.current = Some(walk.next);
            walk.next += 1;
        }
        while let Some(node) = walk.current.and_then(|place| self.nodes.get(place))
            && node.first > address
        {
            walk.current = node.parent;
        }
    }

    /// The prefixes that cover a block at the walk's address, with their places; closest first.
    #[inline]
    pub(super) fn covering(&self, walk: Walk, len: u8) -> impl Iterator<Item = (usize, &Node)> {
        let mut at = walk.current;
        let climb = std::iter::from_fn(move || {
            let place = at?;
            let node = self.nodes.get(place)?;
            at = node.parent;
            Some((place, node))
        });
        climb.skip_while(move |(_, node)| node.len > len)
    }

    /// The prefixes that cover a block, found by a search.
    pub(super) fn covering_block(&self, block: Block) -> impl Iterator<Item = &Node> {
        let next = self.nodes.partition_point(|node| node.last >= block.first);
        let mut walk = Walk {
            next,
            current: next.checked_sub(1),
        };
        self.advance(&mut walk, block.first);
        self.covering(walk, block.len).map(|(_, node)| node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nest(prefixes: &[&str]) -> Nest {
        let blocks = prefixes.iter().enumerate();
        Nest::new(
            blocks
                .map(|(place, text)| (Block::of(&text.parse().unwrap()), place))
                .collect(),
        )
    }

    fn covering(nest: &Nest, prefix: &str) -> Vec<usize> {
        let block = Block::of(&prefix.parse().unwrap());
        let nodes = nest.covering_block(block);
        nodes.flat_map(|node| node.entries.clone()).collect()
    }

    #[test]
    fn finds_what_covers_and_nothing_else() {
        let nest = nest(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.0.0/24",
            "10.1.1.0/24",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "255.255.255.255/32",
        ]);
        assert_eq!(nest.len(), 6);
        assert_eq!(covering(&nest, "10.1.1.0/25"), [3, 1, 0, 4, 5]);
        assert_eq!(covering(&nest, "10.1.0.0/16"), [1, 0, 4, 5]);
        assert_eq!(covering(&nest, "10.2.0.0/16"), [0, 4, 5]);
        assert_eq!(covering(&nest, "10.0.0.0/7"), [5]);
        assert_eq!(covering(&nest, "0.0.0.0/0"), [5]);
        assert_eq!(covering(&nest, "255.255.255.255/32"), [6, 5]);
        assert_eq!(covering(&nest, "11.0.0.0/8"), [5]);
    }

    #[test]
    fn the_ends_of_ipv6_are_no_exception() {
        let nest = nest(&[
            "::/0",
            "::/128",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
        ]);
        assert_eq!(covering(&nest, "::/128"), [1, 0]);
        assert_eq!(covering(&nest, "::1/128"), [0]);
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128";
        assert_eq!(covering(&nest, last), [2, 0]);
    }
}
