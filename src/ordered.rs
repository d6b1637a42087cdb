//! Scores as integers that order as they do, so that they can be sorted and searched without floating point.

/// A number that orders as the score does; −0 is 0.
pub(crate) fn ordered(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The score of [`ordered`].
pub(crate) fn value(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}
