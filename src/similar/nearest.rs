//! The nearest so far.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use vestore_schema::Variant;

/// A variant and how far it is. Nearer is less, then earlier in the reference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Neighbour {
    /// Not NaN.
    pub(super) distance: f64,
    pub(super) variant: Variant,
}

impl Eq for Neighbour {}

impl Ord for Neighbour {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then_with(|| self.variant.cmp(&other.variant))
    }
}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// At most so many neighbours, in any order of coming.
pub(super) struct Nearest {
    /// The farthest on top.
    heap: BinaryHeap<Neighbour>,
    most: usize,
}

impl Nearest {
    pub(super) fn new(most: usize) -> Self {
        Self { heap: BinaryHeap::new(), most }
    }

    /// Whether a variant at this distance can be among them.
    pub(super) fn may_take(&self, distance: f64) -> bool {
        self.heap.len() < self.most || self.heap.peek().is_some_and(|farthest| distance <= farthest.distance)
    }

    pub(super) fn take(&mut self, neighbour: Neighbour) {
        if self.heap.len() < self.most {
            self.heap.push(neighbour);
        } else if let Some(mut farthest) = self.heap.peek_mut()
            && neighbour < *farthest
        {
            *farthest = neighbour;
        }
    }

    /// The nearest first.
    pub(super) fn sorted(self) -> Vec<Neighbour> {
        self.heap.into_sorted_vec()
    }
}
