//! From scores to colours, as the page has them by percentile (`page/shade.js`).

use vestore_schema::Direction;

use super::document::ColumnView;
use crate::narrow::to_score;

/// Fractions that the legend marks.
const TICKS: [f32; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];
/// From dull to extreme.
const PLAIN: [u32; 7] =
    [0x00f1_f3ea, 0x00cf_e3c0, 0x0086_c5a9, 0x003f_9da3, 0x002a_6f98, 0x002b_4283, 0x0024_1a52];
const NEGATIVE: [u32; 6] = [0x00f2_f2ee, 0x00c5_dbee, 0x0086_b6dd, 0x003f_87c0, 0x0016_599a, 0x0008_2f5f];
const POSITIVE: [u32; 6] = [0x00f2_f2ee, 0x00f8_dcbb, 0x00f0_b376, 0x00dd_8333, 0x00b1_5509, 0x006d_2f00];

/// The shades of a column: numbers from −1 to 1 whose size says how extreme a score is, NaN where there is none.
pub(super) struct Shades {
    pub(super) values: Vec<f32>,
    /// Whether signs count: blue is below 0, orange above.
    pub(super) signed: bool,
    /// Scores that percentiles are of.
    pub(super) scored: usize,
    /// What makes a value extreme.
    pub(super) direction: &'static str,
    /// The size that is dark all over, as the logarithm of the tail.
    top: f32,
}

impl Shades {
    /// Those of a column by percentile: calibrated where `percentiles` has them, else among the scores of the view.
    pub(super) fn new(column: &ColumnView, percentiles: Option<&ColumnView>) -> Self {
        let direction = column.direction.unwrap_or(Direction::Magnitude);
        let values = &column.values.0;
        let oriented: Vec<f32> = values.iter().map(|value| direction.oriented(to_score(*value))).collect();
        let mut sorted: Vec<f32> = oriented.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let scored = sorted.len();
        let top = (scored.max(10) as f32).log10().clamp(2.0, 4.0);
        let signed = direction == Direction::Magnitude && values.iter().any(|value| *value < 0.0);
        let shade = |(index, value): (usize, &f64)| {
            let fraction = match percentiles {
                Some(percentiles) => {
                    percentiles.values.0.get(index).map_or(f32::NAN, |percent| to_score(percent / 100.0))
                }
                None => fraction(&sorted, oriented[index]),
            };
            let size = tail(fraction, top);
            if signed && *value < 0.0 { -size } else { size }
        };
        let shades = values.iter().enumerate().map(shade).collect();
        let unknown = "direction unknown: values far from 0 are shown as extreme";
        let direction = column.direction.map_or(unknown, Direction::text);
        Self { values: shades, signed, scored, direction, top }
    }

    /// Shades and percentages of the legend's marks.
    pub(super) fn ticks(&self) -> Vec<(f32, String)> {
        let shown = TICKS.into_iter().filter(|tick| -(1.0 - tick).log10() <= self.top + 1e-3);
        let text = |tick: f32| {
            let text = format!("{:.2}", tick * 100.0);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        shown.map(|tick| (tail(tick, self.top), text(tick))).collect()
    }
}

/// The part of `sorted` that is below `value`, equal ones counted half.
fn fraction(sorted: &[f32], value: f32) -> f32 {
    if value.is_nan() {
        return f32::NAN;
    }
    let below = sorted.partition_point(|other| *other < value);
    let until = sorted.partition_point(|other| *other <= value);
    to_score(usize::midpoint(below, until) as f64 / sorted.len() as f64)
}

/// How far into the tail a fraction is: from 0.9 to 0.99 as far as from 0.99 to 0.999.
fn tail(fraction: f32, top: f32) -> f32 {
    if fraction.is_nan() { f32::NAN } else { (-(1.0 - fraction).max(1e-7).log10() / top).min(1.0) }
}

/// The colour of a shade, `#rrggbb`.
pub(super) fn colour(shade: f32, signed: bool) -> String {
    let ramp: &[u32] = match (signed, shade < 0.0) {
        (false, _) => &PLAIN,
        (true, true) => &NEGATIVE,
        (true, false) => &POSITIVE,
    };
    // Few different colours, so that neighbours can be drawn as one.
    let size = (shade.abs() * 48.0).round() / 48.0 * (ramp.len() - 1) as f32;
    let index = (0..ramp.len() - 1).rev().find(|index| *index as f32 <= size).unwrap_or(0);
    let rest = size - index as f32;
    let channel = |shift: u32| {
        let of = |colour: u32| ((colour >> shift) & 0xff) as f32;
        (of(ramp[index]) + (of(ramp[index + 1]) - of(ramp[index])) * rest).round()
    };
    format!("#{:02x}{:02x}{:02x}", byte(channel(16)), byte(channel(8)), byte(channel(0)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a channel of a colour is 0 to 255"
)]
const fn byte(channel: f32) -> u8 {
    channel as u8
}

#[cfg(test)]
mod tests {
    use super::super::document::Numbers;
    use super::*;

    fn column(direction: Option<Direction>, values: &[f64]) -> ColumnView {
        let values = Numbers(values.to_vec());
        ColumnView { name: "x".to_owned(), direction, meaning: None, percentile: None, values }
    }

    #[test]
    fn the_most_extreme_are_the_darkest_in_their_direction() {
        let values = [-3.0, f64::NAN, 0.5, 2.0, 0.0];
        let darkest = |direction| {
            let shades = Shades::new(&column(direction, &values), None).values;
            assert!(shades[1].is_nan());
            (0..values.len())
                .filter(|at| *at != 1)
                .max_by(|a, b| shades[*a].abs().total_cmp(&shades[*b].abs()))
        };
        assert_eq!(darkest(Some(Direction::High)), Some(3));
        assert_eq!(darkest(Some(Direction::Low)), Some(0));
        assert_eq!(darkest(None), Some(0));
        let unknown = Shades::new(&column(None, &values), None);
        assert!(unknown.signed && unknown.values[0] < 0.0 && unknown.values[3] > 0.0);
        assert_eq!(colour(0.0, false), "#f1f3ea");
        assert_eq!(colour(1.0, false), "#241a52");
        assert_eq!(colour(-1.0, true), "#082f5f");
    }

    #[test]
    fn calibrated_percentiles_decide_where_there_are_some() {
        let percentiles = column(None, &[10.0, 99.0]);
        let shades = Shades::new(&column(Some(Direction::High), &[5.0, 1.0]), Some(&percentiles)).values;
        assert!(shades[0] < shades[1]);
        assert!((shades[1] - 1.0).abs() < 1e-5, "{shades:?}");
    }
}
