//! What scores are rounded to.

use thiserror::Error;

/// What the numbers of a track are rounded to before they are stored, still as float32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    /// Multiples of a positive step.
    Step(f64),
    /// The upper half of a float32: sign, exponent and eight significant bits (bfloat16).
    Relative16,
}

/// The name of [`Precision::Relative16`].
const RELATIVE_16: &str = "16bit-relative";
/// Bits of a float32 below those that [`Precision::Relative16`] keeps.
const DROPPED_BITS: u32 = 16;

/// Text that names no precision.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid precision `{0}`; expected a positive step such as 0.001, or {RELATIVE_16}")]
pub struct PrecisionError(String);

impl Precision {
    /// A precision as people type it and recipes keep it: a step, or `16bit-relative`.
    ///
    /// # Errors
    /// When it is neither, or the step is not a positive finite number.
    pub fn parse(text: &str) -> Result<Self, PrecisionError> {
        if text == RELATIVE_16 {
            return Ok(Self::Relative16);
        }
        let step = text.parse::<f64>().ok().filter(|step| step.is_finite() && *step > 0.0);
        step.map(Self::Step).ok_or_else(|| PrecisionError(text.to_owned()))
    }

    /// The nearest number that is stored; never −0 for what becomes 0.
    ///
    /// Of two multiples of a step that are equally near, the one farther from 0; dividing by the reciprocal of the step
    /// where that is a whole number returns the float32 that is nearest to the decimal people read. Of two relative
    /// neighbours, the one whose last bit is 0 (IEEE 754, roundTiesToEven); what would become infinite is truncated.
    #[must_use]
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::Step(step) => {
                let inverse = (1.0 / step).round();
                let count = (f64::from(value) / step).round() + 0.0;
                nearest(if (inverse * step - 1.0).abs() < 1e-12 { count / inverse } else { count * step })
            }
            Self::Relative16 => {
                let bits = value.to_bits();
                let kept = u32::MAX << DROPPED_BITS;
                let is_odd = (bits >> DROPPED_BITS) & 1;
                let rounded = f32::from_bits(bits.wrapping_add((!kept >> 1) + is_odd) & kept);
                if rounded.is_finite() { rounded + 0.0 } else { f32::from_bits(bits & kept) }
            }
        }
    }

    /// The distance of neighbouring stored numbers at `value`: numbers that differ by little may be rounded to
    /// either. Rounding itself changes a number by at most half of it.
    #[must_use]
    pub fn spacing(self, value: f64) -> f64 {
        match self {
            Self::Step(step) => step,
            Self::Relative16 => value.abs() / 128.0,
        }
    }

    /// The largest change by rounding, as people read it.
    #[must_use]
    pub fn loss(self) -> String {
        match self {
            Self::Step(step) => format!("changed by at most {}", step / 2.0),
            Self::Relative16 => "changed by at most 1/256 of itself".to_owned(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
const fn nearest(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_scores_are_the_decimals_people_read() {
        let round = |value, step| Precision::Step(step).round(value);
        assert_eq!(round(-1.234_567_8, 0.001), -1.235);
        assert_eq!(round(0.000_4, 0.001), 0.0);
        assert_eq!(round(7.3, 0.25), 7.25);
        assert_eq!(round(12.0, 5.0), 10.0);
    }

    /// The nearest number with eight significant bits, by its definition.
    fn by_definition(value: f32) -> f64 {
        let value = f64::from(value);
        let exponent = value.abs().log2().floor().max(-126.0);
        let unit = (exponent - 7.0).exp2();
        (value / unit).round_ties_even() * unit
    }

    #[test]
    fn relative_rounding_keeps_eight_significant_bits() {
        let round = |value| Precision::Relative16.round(value);
        let mut state = 1_u32;
        for number in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Every seventh lies between two neighbours.
            let value = f32::from_bits(if number % 7 == 0 { state & 0xffff_0000 | 0x8000 } else { state });
            if !value.is_finite() || value.abs() > 3.3e38 {
                continue;
            }
            let rounded = round(value);
            assert_eq!(f64::from(rounded), by_definition(value), "{value}");
            assert_eq!(rounded.to_bits() & 0xffff, 0);
            assert_eq!(round(rounded).to_bits(), rounded.to_bits(), "rounding twice");
            let loss = (f64::from(value) - f64::from(rounded)).abs();
            assert!(
                loss <= Precision::Relative16.spacing(value.into()) / 2.0 || value.abs() < f32::MIN_POSITIVE
            );
            assert!(loss <= f64::from(value.abs()) / 256.0 || value.abs() < f32::MIN_POSITIVE);
        }
        assert_eq!([1.0, -2.5, 0.0].map(round), [1.0, -2.5, 0.0]);
        assert_eq!(round(-0.123_456_79), -0.123_535_156);
        assert!(round(f32::MAX).is_finite() && round(f32::MIN).is_finite());
        assert_eq!(round(-1e-45).to_bits(), 0, "never -0");
    }

    #[test]
    fn a_precision_is_a_positive_step_or_a_name() {
        assert_eq!(Precision::parse("0.001").unwrap(), Precision::Step(0.001));
        assert_eq!(Precision::parse("16bit-relative").unwrap(), Precision::Relative16);
        for text in ["", "0", "-1", "inf", "NaN", "16bit", "8bit-relative", "auto", "0,1"] {
            let error = Precision::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("or 16bit-relative"), "{error}");
        }
    }
}
