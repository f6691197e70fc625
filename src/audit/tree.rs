//! The Merkle tree of a day's lines (RFC 6962 2.1): its root as it grows, and the proof that one line is in it.
//!
//! Only hashes; knows no line's meaning and no file.

use arrayvec::ArrayVec;
use ring::digest::{Context, SHA256, digest};

/// The hash of a leaf, or of everything below a node.
pub type NodeHash = [u8; 32];

/// A tree of 2^64 leaves has no more nodes beside one another than this.
const DEEPEST: usize = 64;

/// SHA-256.
pub fn sha256(octets: &[u8]) -> NodeHash {
    taken(&digest(&SHA256, octets))
}

/// The hash of a leaf. A leaf and a node are hashed differently, so that none can be shown as the other (RFC 6962 2.1).
pub fn leaf_hash(leaf: &[u8]) -> NodeHash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(leaf);
    taken(&context.finish())
}

/// The hash of a node above two others.
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    let mut both = [1; 65];
    let (first, second) = both[1..].split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&both)
}

fn taken(digest: &ring::digest::Digest) -> NodeHash {
    // SHA-256 has 32 octets.
    digest.as_ref().try_into().unwrap_or_default()
}

/// A tree that grows at its right end. It holds the roots of its whole subtrees and no leaf: 32 octets for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MerkleTree {
    size: u64,
    /// The roots of the whole subtrees, the largest first: one for each bit of `size` that is set.
    whole: ArrayVec<NodeHash, DEEPEST>,
}

impl MerkleTree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_hash(leaf_hash(leaf));
    }

    /// Adds a leaf whose hash is known.
    pub fn push_hash(&mut self, leaf: NodeHash) {
        let mut hash = leaf;
        // Each bit that the addition carries is a pair of subtrees of one size that became one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.whole.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.whole.push(hash);
        self.size += 1;
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of all of them, in their order. Without a leaf: the hash of nothing.
    pub fn root(&self) -> NodeHash {
        let right_to_left = self.whole.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        right_to_left.unwrap_or_else(|| sha256(b""))
    }
}

/// What proves that one leaf is in a tree, made while the tree's leaves go by (RFC 6962 2.1.1).
#[derive(Debug)]
pub struct PathMaker {
    index: u64,
    size: u64,
    at: u64,
    /// The subtrees beside the way from the root to the leaf: where each ends, its leaves so far, and its place in the path.
    beside: Vec<(u64, MerkleTree, usize)>,
}

impl PathMaker {
    /// For the leaf of that index in a tree of that size. `None` if the tree has no such leaf.
    pub fn new(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut from, mut to) = (0, size);
        let mut ends = Vec::new();
        while to - from > 1 {
            // The largest power of two below the number of leaves (RFC 6962 2.1).
            let left = 1 << (to - from - 1).ilog2();
            if index < from + left {
                ends.push((from + left, to));
                to = from + left;
            } else {
                ends.push((from, from + left));
                from += left;
            }
        }
        // The path begins at the leaf.
        let mut beside: Vec<_> =
            ends.into_iter().rev().enumerate().map(|(place, (from, to))| (from, to, MerkleTree::default(), place)).collect();
        beside.sort_by_key(|&(from, ..)| from);
        let beside = beside.into_iter().map(|(_, to, tree, place)| (to, tree, place)).collect();
        Some(Self { index, size, at: 0, beside })
    }

    /// Takes in the next leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        if self.at != self.index && self.at < self.size {
            let after = self.beside.partition_point(|&(to, ..)| to <= self.at);
            if let Some((_, tree, _)) = self.beside.get_mut(after) {
                tree.push(leaf);
            }
        }
        self.at += 1;
    }

    /// The path, from the leaf's neighbour to the root's child. `None` if leaves are missing.
    pub fn finish(mut self) -> Option<Vec<NodeHash>> {
        self.beside.sort_by_key(|&(.., place)| place);
        (self.at >= self.size).then(|| self.beside.iter().map(|(_, tree, _)| tree.root()).collect())
    }
}

/// The root of the tree in which a leaf stands at that index, if the path is the one to it. `None` if the path cannot be one
/// (RFC 9162 2.1.3.2).
pub fn root_over(leaf: NodeHash, index: u64, size: u64, path: &[NodeHash]) -> Option<NodeHash> {
    let (mut at, mut last) = (index, size.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut root = leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            root = node_hash(beside, &root);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the test vectors that implementations of RFC 6962 share.
    const LEAVES: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];

    /// The root after each of them.
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hex(hash: &NodeHash) -> String {
        hash.iter().map(|octet| [octet >> 4, octet & 15]).flat_map(|pair| pair.map(|digit| format!("{digit:x}"))).collect()
    }

    /// RFC 6962 2.1 as it is written: a hash over all leaves, from the top.
    fn written(leaves: &[Vec<u8>]) -> NodeHash {
        match leaves {
            [] => sha256(b""),
            [leaf] => leaf_hash(leaf),
            _ => {
                let left = 1 << (leaves.len() - 1).ilog2();
                node_hash(&written(&leaves[..left]), &written(&leaves[left..]))
            }
        }
    }

    /// RFC 6962 2.1.1 as it is written.
    fn written_path(index: usize, leaves: &[Vec<u8>]) -> Vec<NodeHash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let left = 1 << (leaves.len() - 1).ilog2();
        let (mut path, beside) = if index < left {
            (written_path(index, &leaves[..left]), written(&leaves[left..]))
        } else {
            (written_path(index - left, &leaves[left..]), written(&leaves[..left]))
        };
        path.push(beside);
        path
    }

    #[test]
    fn roots_are_those_of_other_implementations() {
        let mut tree = MerkleTree::default();
        assert_eq!(hex(&tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            tree.push(leaf);
            assert_eq!(hex(&tree.root()), root, "{} leaves", tree.size());
        }
    }

    #[test]
    fn every_path_of_every_small_tree_is_the_written_one_and_no_other_passes() {
        let leaves: Vec<Vec<u8>> = (0..40_u8).map(|at| vec![at; usize::from(at)]).collect();
        let mut tree = MerkleTree::default();
        for size in 1..=leaves.len() {
            tree.push(&leaves[size - 1]);
            let root = written(&leaves[..size]);
            assert_eq!((tree.root(), tree.size()), (root, size as u64));
            for index in 0..size {
                let mut maker = PathMaker::new(index as u64, size as u64).expect("such a leaf");
                for leaf in &leaves {
                    maker.push(leaf);
                }
                let path = maker.finish().expect("all leaves");
                assert_eq!(path, written_path(index, &leaves[..size]), "{index} of {size}");
                let over =
                    |index: usize, path: &[NodeHash]| root_over(leaf_hash(&leaves[index]), index as u64, size as u64, path);
                assert_eq!(over(index, &path), Some(root), "{index} of {size}");
                for at in 0..path.len() {
                    let mut other = path.clone();
                    other[at][0] ^= 1;
                    assert_ne!(over(index, &other), Some(root), "{index} of {size}");
                    assert_eq!(over(index, &path[..at]), None, "{index} of {size}");
                }
                let longer = [path.as_slice(), &[root]].concat();
                assert_eq!(over(index, &longer), None, "{index} of {size}");
                if index > 0 {
                    assert_ne!(root_over(leaf_hash(&leaves[index]), index as u64 - 1, size as u64, &path), Some(root));
                }
            }
        }
    }

    #[test]
    fn what_is_in_no_tree_has_no_path() {
        assert!(PathMaker::new(0, 0).is_none() && PathMaker::new(3, 3).is_none());
        assert!(PathMaker::new(u64::MAX - 1, u64::MAX).is_some());
        assert_eq!(PathMaker::new(0, 2).and_then(PathMaker::finish), None, "leaves are missing");
        assert_eq!(root_over([0; 32], 0, 0, &[]), None);
        assert_eq!(root_over([0; 32], 1, 1, &[]), None);
        assert_eq!(root_over([7; 32], 0, 1, &[]), Some([7; 32]));
        assert_eq!(root_over([7; 32], u64::MAX - 1, u64::MAX, &[[0; 32]; 99]), None);
    }
}
