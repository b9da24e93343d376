//! The automaton: for the bytes read so far, the longest ending that is a beginning of a pattern.
//! (Aho and Corasick, "Efficient string matching", 1975.) It knows patterns and nothing of forms.
//!
//! A node is a beginning of one or more patterns. Nodes are numbered breadth first, so the
//! children of a node are neighbours and an edge needs no storage but the child's own byte. Beside
//! the classic failure link a node has a *miss* link, which skips the failures that would miss on
//! the same bytes; it keeps the work per byte small on periodic patterns (Knuth, Morris and Pratt's
//! strong failure function, taken to sets of edges).

use zeroize::{Zeroize, Zeroizing};

use super::forms::FORKING;

/// From this depth on a node is settled whatever else it could become.
pub(super) const SETTLED_DEPTH: usize = 120;

/// How many failures are tried for an edge that fits; past them one is taken to exist.
const MAX_HOPS: usize = 64;

/// A node's number.
pub(super) type NodeId = u32;
/// The empty beginning.
pub(super) const ROOT: NodeId = 0;

/// What is searched for.
pub(super) struct Pattern {
    /// The bytes; not empty.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Index of the secret's name; of several that fit, the smallest is reported.
    pub(super) name: u16,
    /// From this length on a beginning counts as a match; at most the pattern's length.
    pub(super) fragment: usize,
    /// From this length on a beginning must not be shown.
    pub(super) identifying: usize,
}

/// See the module.
pub(super) struct Automaton {
    nodes: Vec<Node>,
    /// The root's edges; 0 where it has none.
    root: Box<[NodeId; 256]>,
    /// Where the bytes of [`FORKING`] lead, for the nodes that differ in it. On these bytes a walk goes on
    /// from one node in several ways. What following failures costs is paid for by the depth that is lost
    /// with them; a copy of a walk has paid for nothing. So these bytes follow none.
    forks: Vec<[NodeId; FORKING.len()]>,
    /// Sorted, without duplicates.
    patterns: Vec<Pattern>,
}

/// A beginning of patterns.
#[derive(Clone, Copy, Default)]
pub(super) struct Node {
    first_child: NodeId,
    /// The longest proper ending that is a node too.
    fail: NodeId,
    /// Where to go on when no child fits.
    miss: NodeId,
    /// This node, or the nearest along `fail` that has children.
    live: NodeId,
    /// Index of its row in `forks`.
    fork: u32,
    /// How many bytes it has.
    pub(super) depth: u32,
    /// Length of the longest ending (itself included) that counts as a match, or 0.
    pub(super) covered: u32,
    /// One of the patterns that begin so.
    pattern: u16,
    children: u16,
    /// The name to report for `covered`.
    pub(super) name: u16,
    /// The name to report for the node when it must not be shown and is no match yet.
    pub(super) guess: u16,
    /// The last of its bytes.
    byte: u8,
    /// A whole pattern.
    pub(super) whole: bool,
    /// It counts as a match, and nothing to come changes its name.
    pub(super) settled: bool,
    /// It must not be shown.
    pub(super) identifying: bool,
}

impl Node {
    /// Whether something goes on from here.
    pub(super) fn goes_on(&self) -> bool {
        self.children > 0
    }
}

impl Automaton {
    /// Builds the automaton. Patterns with equal bytes are one, under the smallest name.
    ///
    /// There are fewer than 2^16 patterns with fewer than 2^31 bytes: the matcher's caps see to it.
    pub(super) fn build(mut patterns: Vec<Pattern>) -> Self {
        patterns.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.name.cmp(&b.name)));
        patterns.dedup_by(|later, earlier| later.bytes == earlier.bytes);
        let mut automaton = Automaton {
            nodes: vec![Node::default()],
            root: Box::new([ROOT; 256]),
            forks: Vec::new(),
            patterns,
        };
        automaton.grow();
        automaton.nodes.shrink_to_fit();
        automaton.link();
        automaton.forks.shrink_to_fit();
        automaton
    }

    /// Adds the nodes, level by level: a node is a range of the sorted patterns.
    fn grow(&mut self) {
        let mut ranges = vec![(0, self.patterns.len())];
        let mut at = 0;
        while let Some(&(mut low, high)) = ranges.get(at) {
            let depth = self.nodes.get(at).map_or(0, |node| node.depth as usize);
            if self.patterns.get(low).is_some_and(|pattern| low < high && pattern.bytes.len() == depth) {
                low += 1;
            }
            let first_child = self.nodes.len();
            while low < high {
                let Some(byte) = self.byte_at(low, depth) else { break };
                let mut end = low;
                while end < high && self.byte_at(end, depth) == Some(byte) {
                    end += 1;
                }
                ranges.push((low, end));
                let node = self.describe(low, end, depth + 1, byte);
                self.nodes.push(node);
                low = end;
            }
            let children = self.nodes.len() - first_child;
            if let Some(node) = self.nodes.get_mut(at) {
                node.first_child = u32::try_from(first_child).unwrap_or(ROOT);
                node.children = u16::try_from(children).unwrap_or(0);
            }
            at += 1;
        }
    }

    fn byte_at(&self, pattern: usize, depth: usize) -> Option<u8> {
        self.patterns.get(pattern)?.bytes.get(depth).copied()
    }

    /// The node for the beginning of `depth` bytes that the patterns in the range share.
    fn describe(&self, low: usize, end: usize, depth: usize, byte: u8) -> Node {
        let through = self.patterns.get(low..end).unwrap_or_default();
        let whole = through.first().filter(|pattern| pattern.bytes.len() == depth);
        let fragment =
            || through.iter().filter(|pattern| pattern.fragment <= depth).map(|pattern| pattern.name).min();
        let name = whole.map(|pattern| pattern.name).or_else(fragment);
        let guess = through.iter().map(|pattern| pattern.name).min().unwrap_or_default();
        let depth_u32 = u32::try_from(depth).unwrap_or(u32::MAX);
        Node {
            depth: depth_u32,
            covered: if name.is_some() { depth_u32 } else { 0 },
            pattern: u16::try_from(low).unwrap_or_default(),
            name: name.unwrap_or_default(),
            guess,
            byte,
            whole: whole.is_some(),
            settled: name.is_some() && (through.len() == 1 || depth >= SETTLED_DEPTH),
            identifying: through.iter().any(|pattern| pattern.identifying <= depth),
            ..Node::default()
        }
    }

    /// Sets the links, from the root outward: each needs only those of shorter beginnings.
    fn link(&mut self) {
        for id in self.children(ROOT) {
            let byte = self.node(id).byte;
            if let Some(slot) = self.root.get_mut(usize::from(byte)) {
                *slot = id;
            }
        }
        for at in 0..self.nodes.len() {
            let id = u32::try_from(at).unwrap_or(ROOT);
            let node = self.node(id);
            let fail = self.node(node.fail);
            let mut miss = node.fail;
            while miss != ROOT && self.edges_within(miss, id) {
                miss = self.node(miss).miss;
            }
            let fork = self.fork_row(id);
            if let Some(node) = self.nodes.get_mut(at) {
                node.miss = miss;
                node.live = if node.children > 0 { id } else { fail.live };
                node.fork = fork;
                if node.covered == 0 {
                    (node.covered, node.name) = (fail.covered, fail.name);
                }
            }
            if id == ROOT {
                continue;
            }
            for child in self.children(id) {
                let target = self.step(node.fail, self.node(child).byte, &mut 0);
                if let Some(child) = self.nodes.get_mut(child as usize) {
                    child.fail = target;
                }
            }
        }
    }

    /// The row of `forks` for a node: that of its failure, unless it has an edge of its own.
    fn fork_row(&mut self, id: NodeId) -> u32 {
        let inherited = self.node(self.node(id).fail).fork;
        let mut row = self.forks.get(inherited as usize).copied().unwrap_or_default();
        let mut own = id == ROOT;
        for (target, byte) in row.iter_mut().zip(FORKING) {
            if let Some(child) = self.child(&self.node(id), byte) {
                *target = child;
                own = true;
            }
        }
        if !own {
            return inherited;
        }
        self.forks.push(row);
        u32::try_from(self.forks.len() - 1).unwrap_or_default()
    }

    /// Whether each byte that leads on from `inner` leads on from `outer` too.
    fn edges_within(&self, inner: NodeId, outer: NodeId) -> bool {
        self.node(inner).children <= self.node(outer).children
            && self
                .children(inner)
                .all(|child| self.child(&self.node(outer), self.node(child).byte).is_some())
    }

    fn children(&self, id: NodeId) -> std::ops::Range<NodeId> {
        let node = self.node(id);
        node.first_child..node.first_child.saturating_add(u32::from(node.children))
    }

    fn child(&self, node: &Node, byte: u8) -> Option<NodeId> {
        let first = node.first_child as usize;
        let children = self.nodes.get(first..first + usize::from(node.children))?;
        let found = match children {
            [only] => (only.byte == byte).then_some(0),
            _ => children.binary_search_by_key(&byte, |child| child.byte).ok(),
        }?;
        u32::try_from(first + found).ok()
    }

    /// A node; the root for a number that is none.
    pub(super) fn node(&self, id: NodeId) -> Node {
        self.nodes.get(id as usize).copied().unwrap_or_default()
    }

    /// The node after one more byte. Counts its steps in `work`.
    #[inline]
    pub(super) fn step(&self, id: NodeId, byte: u8, work: &mut u64) -> NodeId {
        // Nearly all text is nowhere near a secret.
        if id == ROOT {
            *work = work.wrapping_add(1);
            return self.root.get(usize::from(byte)).copied().unwrap_or(ROOT);
        }
        self.walk(id, byte, work)
    }

    fn walk(&self, mut id: NodeId, byte: u8, work: &mut u64) -> NodeId {
        loop {
            *work = work.wrapping_add(1);
            let Some(node) = self.nodes.get(id as usize) else { return ROOT };
            if let Some(at) = FORKING.iter().position(|&forking| forking == byte) {
                let row = self.forks.get(node.fork as usize);
                return row.and_then(|row| row.get(at)).copied().unwrap_or(ROOT);
            }
            if let Some(child) = self.child(node, byte) {
                return child;
            }
            id = node.miss;
            if id == ROOT {
                return self.step(ROOT, byte, work);
            }
        }
    }

    /// The longest ending of `id` that a byte whose `mask` bits are `bits` could lead on from.
    pub(super) fn extensible(&self, id: NodeId, mask: u8, bits: u8) -> Option<NodeId> {
        let mut at = self.node(id).live;
        if mask == 0 {
            return (!self.is_empty()).then_some(at);
        }
        for _ in 0..MAX_HOPS {
            if self.children(at).any(|child| self.node(child).byte & mask == bits) {
                return Some(at);
            }
            if at == ROOT {
                return None;
            }
            at = self.node(self.node(at).fail).live;
        }
        Some(self.node(id).live)
    }

    /// The longest ending of `id`, itself included, that satisfies the condition.
    pub(super) fn ending(&self, mut id: NodeId, condition: impl Fn(Node) -> bool) -> Option<NodeId> {
        while id != ROOT {
            if condition(self.node(id)) {
                return Some(id);
            }
            id = self.node(id).fail;
        }
        None
    }

    /// The next shorter ending that is a node.
    pub(super) fn shorter(&self, id: NodeId) -> NodeId {
        self.node(id).fail
    }

    /// The bytes of a node.
    pub(super) fn bytes(&self, id: NodeId) -> &[u8] {
        let node = self.node(id);
        let pattern = self.patterns.get(usize::from(node.pattern));
        pattern.and_then(|pattern| pattern.bytes.get(..node.depth as usize)).unwrap_or_default()
    }

    /// Whether there are no patterns.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// How much memory the tables take, in bytes.
    pub(super) fn memory(&self) -> usize {
        let patterns: usize = self.patterns.iter().map(|pattern| pattern.bytes.capacity()).sum();
        self.nodes.capacity() * size_of::<Node>()
            + self.forks.capacity() * size_of::<[NodeId; FORKING.len()]>()
            + self.patterns.capacity() * size_of::<Pattern>()
            + patterns
            + size_of_val(&*self.root)
    }
}

impl Drop for Automaton {
    fn drop(&mut self) {
        // The bytes of the nodes, read along the links, are the patterns.
        for node in &mut self.nodes {
            node.byte.zeroize();
        }
        self.root.zeroize();
    }
}
