//! How large a unit is: seconds of work, whatever the model and the scores. It follows from what a variant takes and
//! the kind of device, never from a clock, so that the same plan is always cut at the same places.

use crate::convert::{as_index, whole};
use crate::seam::Cost;

/// Most variants of a unit: 64 times 18, so that saturation keeps the 18 SNVs of six bases together.
pub const UNIT: usize = 1152;

/// Most variants of a unit of an ablation: 8 times 18.
pub(crate) const ABLATION_UNIT: usize = 144;

/// SNVs of six bases; units of that many and more are multiples of it.
const SITE: usize = 18;

/// SNVs of a base, which share the reference's window; units of that many and more are multiples of it.
const BASE: usize = 3;

/// Multiplications and additions of a unit on a CPU: a second or two, so that an interrupted run commits the unit in
/// hand within its grace.
const CPU_WORK: f64 = 1e11;

/// The same on a GPU; smaller units would leave it idle.
const GPU_WORK: f64 = 1e14;

/// Bytes of a unit's windows, passes and outputs. A few units wait at once.
const MEMORY: f64 = 134_217_728.0;

/// Variants of one unit of variants that take `cost` each. A unit on a GPU is some units on a CPU, so that shards, which
/// end where units on a GPU do, are cut into the same units as the whole plan, wherever they are scored.
#[must_use]
pub fn unit_size(cost: Cost, ablation: bool, gpu: bool) -> usize {
    let small = fitting(cost, ablation, CPU_WORK);
    if !gpu {
        return small;
    }
    let large = fitting(cost, ablation, GPU_WORK);
    let together =
        if small < SITE { (1..=SITE).find(|times| (small * times).is_multiple_of(SITE)) } else { None };
    let step = small * together.unwrap_or(1);
    if large >= step { large / step * step } else { large / small * small }
}

fn fitting(cost: Cost, ablation: bool, work: f64) -> usize {
    let most = if ablation { ABLATION_UNIT } else { UNIT };
    let variants = (work / cost.operations.max(1.0)).max(cost.together as f64);
    let variants = variants.min(MEMORY / cost.bytes.max(1.0));
    let variants = as_index(whole(variants.min(most as f64))).max(1);
    match variants {
        SITE.. => variants / SITE * SITE,
        BASE.. => variants / BASE * BASE,
        _ => variants,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_seconds_of_work_and_fit_in_memory() {
        let size = |operations, bytes, ablation, gpu| {
            unit_size(Cost { operations, bytes, together: 1 }, ablation, gpu)
        };
        assert_eq!(size(1e6, 1e3, false, false), UNIT);
        assert_eq!(size(1e6, 1e3, true, false), ABLATION_UNIT);
        assert_eq!(size(1e9, 1e3, false, false), 90);
        assert_eq!(size(1e10, 1e3, false, false), 9);
        // One variant is minutes of work on a CPU; a unit cannot be less.
        assert_eq!(size(1e13, 1e3, false, false), 1);
        assert_eq!(size(1e11, 1e3, false, true), 990);
        for operations in (0..130).map(|step| 1e6 * 1.15_f64.powi(step)) {
            for (bytes, ablation) in [(1e3, false), (1e3, true), (4e5, false), (2e6, false), (1e8, true)] {
                let [small, large] = [false, true].map(|gpu| size(operations, bytes, ablation, gpu));
                assert!(large >= small && large.is_multiple_of(small), "{small} {large}");
                assert!(small < SITE || large.is_multiple_of(SITE), "{large}");
            }
        }
        // Unless it shares its reference with others.
        assert_eq!(unit_size(Cost { operations: 1e13, bytes: 1e3, together: 7 }, false, false), 6);
        // Windows of half a million bases.
        assert_eq!(size(1e6, 2e6, false, true), 54);
    }
}
