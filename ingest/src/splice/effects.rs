//! From the probabilities along reference and alternate to what a variant does to splice sites, in the conventions of
//! the two programs that people compare with.

use vestore_schema::SpliceConvention;

use super::pass::Sites;
use crate::convert::dimension;

/// Outputs of the reference on the forward strand relative to the variant's first base, for a reference allele of so many
/// bases.
pub(crate) fn outputs(convention: SpliceConvention, distance: i64, reference: i64) -> (i64, i64) {
    match convention {
        SpliceConvention::SpliceAi => (-distance, distance + 1),
        SpliceConvention::CiSpliceAi => {
            let count = 2 * distance + reference;
            (-distance, count + count % 2 - distance)
        }
    }
}

/// What happens to one kind of site: the columns of one change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// Alternate − reference where that is largest; reference − alternate for losses.
    pub(crate) value: f32,
    /// Where, relative to the variant, on the forward strand; none where the best place leads by too little to mean
    /// anything.
    pub(crate) position: Option<i32>,
    /// The probability there of the reference.
    pub(crate) reference: f32,
    /// The probability there of the alternate.
    pub(crate) alternate: f32,
}

/// The changes, in the order of columns.
pub(crate) const CHANGES: [&str; 4] = ["acceptor_gain", "acceptor_loss", "donor_gain", "donor_loss"];

/// Where the best place leads by less, rounding chose it.
const LEAD: f32 = 1e-5;

/// Sites of a gene that a mask knows, relative to the variant's position on the forward strand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownSites {
    /// Acceptors, then donors; sorted.
    pub(crate) sites: [Vec<i64>; 2],
    /// The border of an exon nearest to the variant, the lower one of two.
    pub(crate) nearest: Option<i64>,
}

/// How the changes of one variant in one gene are computed.
pub(crate) struct Comparison<'a> {
    pub(crate) convention: SpliceConvention,
    pub(crate) distance: usize,
    /// Bases of the reference allele, and of the alternate one.
    pub(crate) alleles: (usize, usize),
    /// Annotated sites, where gains of annotated sites and losses elsewhere are to be 0.
    pub(crate) mask: Option<&'a KnownSites>,
}

impl Comparison<'_> {
    /// The alternate's probabilities at the reference's places; both on the forward strand, the variant at index
    /// `distance`.
    fn aligned(&self, alternate: &[[f32; 2]]) -> Sites {
        let (reference, bases) = self.alleles;
        let at = self.distance;
        let mut aligned: Sites;
        if bases > reference {
            // The largest of the inserted bases and their anchor.
            let end = at + bases - reference + 1;
            let inserted = alternate.get(at..end).unwrap_or_default();
            let largest = inserted.iter().fold([0f32; 2], |a, b| [a[0].max(b[0]), a[1].max(b[1])]);
            aligned = alternate[..at].to_vec();
            aligned.push(largest);
            aligned.extend_from_slice(&alternate[end..]);
        } else {
            let lacking = at + usize::from(self.convention == SpliceConvention::SpliceAi);
            aligned = alternate[..lacking].to_vec();
            aligned.extend(std::iter::repeat_n([0.0; 2], reference - bases));
            aligned.extend_from_slice(&alternate[lacking..]);
        }
        aligned
    }

    /// The four changes, in the order of [`CHANGES`]. Probabilities lie on the forward strand.
    pub(crate) fn changes(&self, reference: &[[f32; 2]], alternate: &[[f32; 2]]) -> [Change; 4] {
        let aligned = self.aligned(alternate);
        assert_eq!(aligned.len(), reference.len(), "alleles decide the number of outputs; this is a bug");
        let mut changes = [Change::default(); 4];
        for (number, change) in changes.iter_mut().enumerate() {
            let (site, gain) = (number / 2, number % 2 == 0);
            *change = self.change(reference, &aligned, site, gain);
        }
        changes
    }

    fn change(&self, reference: &[[f32; 2]], alternate: &[[f32; 2]], site: usize, gain: bool) -> Change {
        let relative = |place: usize| dimension(place) - dimension(self.distance);
        let each_place = self.mask.filter(|_| self.convention == SpliceConvention::CiSpliceAi);
        let value = |place: usize| {
            let change = alternate[place][site] - reference[place][site];
            let change = if gain { change } else { -change };
            let hidden = each_place
                .is_some_and(|known| known.sites[site].binary_search(&relative(place)).is_ok() == gain);
            if hidden { 0.0 } else { change + 0.0 }
        };
        let (mut best, mut largest, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for place in 0..reference.len() {
            let value = value(place);
            if value > largest {
                (best, largest, second) = (place, value, largest);
            } else {
                second = second.max(value);
            }
        }
        let mut found = Change {
            value: largest,
            position: (largest - second >= LEAD).then(|| i32::try_from(relative(best)).unwrap_or(i32::MAX)),
            reference: reference[best][site],
            alternate: alternate[best][site],
        };
        if let Some(known) = self.mask.filter(|_| self.convention == SpliceConvention::SpliceAi)
            && let Some(nearest) = known.nearest
            && (relative(best) == nearest) == gain
        {
            found.value = 0.0;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Donor probabilities with 0 but at some places.
    fn sites(length: usize, some: &[(usize, f32)]) -> Sites {
        let mut sites = vec![[0.0; 2]; length];
        for (place, value) in some {
            sites[*place][1] = *value;
        }
        sites
    }

    #[test]
    fn outputs_are_counted_as_the_programs_do() {
        assert_eq!(outputs(SpliceConvention::SpliceAi, 50, 3), (-50, 51));
        assert_eq!(outputs(SpliceConvention::CiSpliceAi, 50, 1), (-50, 52));
        assert_eq!(outputs(SpliceConvention::CiSpliceAi, 50, 2), (-50, 52));
    }

    #[test]
    fn a_deletion_after_a_donor_loses_it_in_one_convention() {
        // `CT>C` whose anchor is a donor that stays.
        let compare = |convention, length, mask: Option<&KnownSites>| {
            let reference = sites(length, &[(5, 0.9)]);
            let alternate = sites(length - 1, &[(5, 0.8)]);
            Comparison { convention, distance: 5, alleles: (2, 1), mask }.changes(&reference, &alternate)
        };
        let [.., gain, loss] = compare(SpliceConvention::SpliceAi, 11, None);
        assert!((loss.value - 0.1).abs() < 1e-6 && loss.position == Some(0));
        assert_eq!((gain.value, gain.position), (0.0, None));
        let [.., gain, loss] = compare(SpliceConvention::CiSpliceAi, 12, None);
        assert_eq!((loss.value, loss.position), (0.9, Some(0)));
        assert_eq!((gain.value, gain.position), (0.8, Some(1)));
        // The loss of an annotated site stays; the gain of one is hidden.
        let known = KnownSites { sites: [vec![], vec![0, 1]], nearest: Some(0) };
        let [.., gain, loss] = compare(SpliceConvention::CiSpliceAi, 12, Some(&known));
        assert_eq!((gain.value, loss.value), (0.0, 0.9));
        let [.., loss] = compare(SpliceConvention::SpliceAi, 11, Some(&known));
        assert!((loss.value - 0.1).abs() < 1e-6);
        let elsewhere = KnownSites { sites: [vec![], vec![]], nearest: Some(3) };
        for (convention, length) in [(SpliceConvention::SpliceAi, 11), (SpliceConvention::CiSpliceAi, 12)] {
            let [.., loss] = compare(convention, length, Some(&elsewhere));
            assert_eq!(loss.value, 0.0);
        }
    }

    #[test]
    fn inserted_bases_count_by_their_largest() {
        let comparison =
            Comparison { convention: SpliceConvention::SpliceAi, distance: 2, alleles: (1, 3), mask: None };
        let changes = comparison.changes(&sites(5, &[(4, 0.5)]), &sites(7, &[(3, 0.7), (6, 0.5)]));
        assert_eq!((changes[2].value, changes[2].position), (0.7, Some(0)));
        assert_eq!(changes[3].value, 0.0);
    }
}
