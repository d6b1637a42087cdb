//! The length of a vector in float32, which the crates that draw figures ask libm for.
//!
//! That of glibc has a new version since 2.35, with which the programs would not start on RHEL 9. A function of the same
//! name in the program is linked instead.
#![allow(unsafe_code, reason = "a name for the linker; nothing else of the program has it")]

use crate::narrow::to_score;

/// √(x² + y²) without overflow, as C defines it for finite numbers.
#[unsafe(no_mangle)]
extern "C" fn hypotf(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    to_score((x * x + y * y).sqrt())
}

#[cfg(test)]
mod tests {
    use super::hypotf;

    #[test]
    fn lengths_are_those_of_libm() {
        for (x, y) in [(3.0, 4.0), (-3.0, 0.0), (0.0, 0.0), (1e30, 1e30), (1e-30, 1e-30), (0.1, 7.3)] {
            let exact = f64::from(x).hypot(f64::from(y));
            assert!((f64::from(hypotf(x, y)) - exact).abs() <= exact * 1e-7, "{x} {y}");
        }
    }
}
