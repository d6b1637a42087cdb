//! Effects: the alternate's profile against the reference's, reduced in float64 on the device of the profiles.

use tch::{Kind, TchError, Tensor};

use super::kinds::{Measure, RegulatoryKind, View};

/// Targets that are reduced at once: their profiles are held in float64.
const TARGETS: i64 = 256;

/// Effects [kinds, targets], float64, from profiles [targets, bins] of reference and alternate.
pub(super) fn effects(
    kinds: &[&RegulatoryKind],
    reference: &Tensor,
    alternate: &Tensor,
) -> Result<Tensor, TchError> {
    by_targets(reference, 1, |part| {
        let profiles = [part(reference)?, part(alternate)?];
        Pair::new(&profiles, None)?.effects(kinds)
    })
}

/// The same over some `bins` alone. What is added to every bin of a shape is still the lower `quartile` [targets, 1] of
/// all bins of the reference, see [`quartiles`] (Baskerville, `borzoi_sed`).
pub(super) fn effects_on_bins(
    kinds: &[&RegulatoryKind],
    [reference, alternate]: [&Tensor; 2],
    quartile: &Tensor,
    bins: &Tensor,
) -> Result<Tensor, TchError> {
    by_targets(reference, 1, |part| {
        let inside = |profile: &Tensor| part(profile)?.f_index_select(1, bins);
        let profiles = [inside(reference)?, inside(alternate)?];
        Pair::new(&profiles, Some(part(quartile)?))?.effects(kinds)
    })
}

/// The 25th percentile over all bins of each target of a profile [targets, 1], float64.
pub(super) fn quartiles(profile: &Tensor) -> Result<Tensor, TchError> {
    by_targets(profile, 0, |part| lower_quartile(&part(profile)?.f_to_kind(Kind::Double)?))
}

/// Reduces some targets of `profile` [targets, …] at a time: `reduce` takes what cuts them out of a tensor. The results
/// are joined along `dimension`.
fn by_targets(
    profile: &Tensor,
    dimension: i64,
    reduce: impl Fn(&dyn Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let (targets, _) = profile.size2()?;
    let mut parts = Vec::new();
    let mut first = 0;
    while first < targets {
        let count = TARGETS.min(targets - first);
        parts.push(reduce(&|whole: &Tensor| whole.f_narrow(0, first, count))?);
        first += count;
    }
    Tensor::f_cat(&parts, dimension)
}

/// Two profiles [targets, bins].
struct Pair {
    reference: Tensor,
    alternate: Tensor,
    /// What is added to bins where shapes are compared; by default the lower quartile of these of the reference.
    quartile: Option<Tensor>,
}

impl Pair {
    /// In float64.
    fn new([reference, alternate]: &[Tensor; 2], quartile: Option<Tensor>) -> Result<Self, TchError> {
        let (reference, alternate) = (reference.f_to_kind(Kind::Double)?, alternate.f_to_kind(Kind::Double)?);
        Ok(Self { reference, alternate, quartile })
    }

    /// [kinds, targets]
    fn effects(&self, kinds: &[&RegulatoryKind]) -> Result<Tensor, TchError> {
        let mut rows: Vec<Option<Tensor>> = kinds.iter().map(|_| None).collect();
        // View by view: only one is in memory beside the plain profiles.
        for view in [View::Plain, View::Log, View::Root] {
            let mut seen = None;
            for (row, kind) in rows.iter_mut().zip(kinds).filter(|(_, kind)| kind.view == view) {
                let pair = match &seen {
                    Some(pair) => pair,
                    None => seen.insert(self.seen(view)?),
                };
                *row = Some(pair.measure(kind.measure)?);
            }
        }
        Tensor::f_stack(&rows.into_iter().flatten().collect::<Vec<_>>(), 0)
    }

    fn seen(&self, view: View) -> Result<Self, TchError> {
        let see = |profile: &Tensor| match view {
            View::Plain => Ok(profile.shallow_clone()),
            View::Log => profile.f_add_scalar(1.0)?.f_log2(),
            View::Root => profile.f_sqrt(),
        };
        let quartile = self.quartile.as_ref().map(Tensor::shallow_clone);
        Ok(Self { reference: see(&self.reference)?, alternate: see(&self.alternate)?, quartile })
    }

    /// [targets]
    fn measure(&self, measure: Measure) -> Result<Tensor, TchError> {
        let difference = || self.alternate.f_sub(&self.reference);
        match measure {
            Measure::Difference => sum(&self.alternate)?.f_sub(&sum(&self.reference)?),
            Measure::Mean => mean(&self.alternate)?.f_sub(&mean(&self.reference)?),
            Measure::LogOfSums => {
                let log = |profile: &Tensor| sum(profile)?.f_add_scalar(1.0)?.f_log2();
                log(&self.alternate)?.f_sub(&log(&self.reference)?)
            }
            Measure::Extreme => {
                let difference = difference()?;
                let largest = difference.f_abs()?.f_argmax(1, true)?;
                difference.f_gather(1, &largest, false)?.f_squeeze_dim(1)
            }
            Measure::Distance => sum(&difference()?.f_abs()?),
            Measure::Euclidean => sum(&difference()?.f_square()?)?.f_sqrt(),
            Measure::Divergence => self.divergence(),
            Measure::ShapeEuclidean => sum(&self.shape_difference()?.f_square()?)?.f_sqrt(),
            Measure::ShapeExtreme => self.shape_difference()?.f_abs()?.f_amax([1], false),
            Measure::Reference => sum(&self.reference),
            Measure::Alternate => sum(&self.alternate),
        }
    }

    /// Both profiles as distributions over bins. The reference's lower quartile is added to every bin of both, so that
    /// empty bins do not decide.
    fn shapes(&self) -> Result<[Tensor; 2], TchError> {
        let quartile = match &self.quartile {
            Some(quartile) => quartile.shallow_clone(),
            None => lower_quartile(&self.reference)?,
        };
        let share = |profile: &Tensor| {
            let raised = profile.f_add(&quartile)?;
            raised.f_div(&raised.f_sum_dim_intlist(1, true, Kind::Double)?)
        };
        Ok([share(&self.reference)?, share(&self.alternate)?])
    }

    fn shape_difference(&self) -> Result<Tensor, TchError> {
        let [reference, alternate] = self.shapes()?;
        alternate.f_sub(&reference)
    }

    /// Half of the sum of both divergences.
    fn divergence(&self) -> Result<Tensor, TchError> {
        let [reference, alternate] = self.shapes()?;
        let logs = reference.f_log()?.f_sub(&alternate.f_log()?)?;
        sum(&reference.f_sub(&alternate)?.f_mul(&logs)?)?.f_mul_scalar(0.5)
    }
}

fn sum(profile: &Tensor) -> Result<Tensor, TchError> {
    profile.f_sum_dim_intlist(1, false, Kind::Double)
}

fn mean(profile: &Tensor) -> Result<Tensor, TchError> {
    profile.f_mean_dim(1, false, Kind::Double)
}

/// The 25th percentile over bins [targets, 1], between the two nearest bins.
fn lower_quartile(profile: &Tensor) -> Result<Tensor, TchError> {
    let (_, bins) = profile.size2()?;
    let (sorted, _) = profile.f_sort(1, false)?;
    // A quarter of the way from the first bin to the last one.
    let (below, quarters) = ((bins - 1) / 4, (bins - 1) % 4);
    let at = |place: i64| sorted.f_narrow(1, place, 1);
    let (low, high) = (at(below)?, at((below + 1).min(bins - 1))?);
    low.f_lerp(&high, quarters as f64 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_bins() {
        for (bins, expected) in
            [(&[3.0, 1.0, 2.0, 4.0, 5.0][..], 2.0), (&[4.0, 1.0, 3.0, 2.0], 1.75), (&[7.0], 7.0)]
        {
            let quartile = lower_quartile(&Tensor::from_slice(bins).unsqueeze(0)).expect("memory");
            assert_eq!(quartile.double_value(&[0, 0]), expected);
        }
    }

    #[test]
    fn targets_are_reduced_alike_in_any_part() {
        let kinds: Vec<_> = super::super::kinds::every_kind();
        tch::manual_seed(3);
        let profiles = || Tensor::rand([TARGETS + 5, 9], (Kind::Float, tch::Device::Cpu));
        let (reference, alternate) = (profiles(), profiles());
        let all = effects(&kinds, &reference, &alternate).expect("memory");
        let last = |profile: &Tensor| profile.narrow(0, TARGETS + 4, 1);
        let one = effects(&kinds, &last(&reference), &last(&alternate)).expect("memory");
        assert_eq!(Vec::<f64>::try_from(all.narrow(1, TARGETS + 4, 1).flatten(0, -1)).expect("numbers"), {
            Vec::<f64>::try_from(one.flatten(0, -1)).expect("numbers")
        });
        // The extreme keeps its sign, and the first of equals counts.
        let row = |values: &[f32]| Tensor::from_slice(values).unsqueeze(0);
        let sax = kinds.iter().position(|kind| kind.about.name == "sax").expect("a kind");
        let found = effects(&kinds, &row(&[1.0, 5.0, 1.0]), &row(&[2.0, 2.0, 4.0])).expect("memory");
        assert_eq!(found.double_value(&[i64::try_from(sax).expect("small"), 0]), -3.0);
    }
}
