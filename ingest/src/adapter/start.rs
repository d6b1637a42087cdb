//! What the tensors of an adapter begin as.

use crate::convert::single;
use crate::random::Random;
use crate::tensor_file::NamedWeight;

/// Spread of the first weights of bottlenecks, as the Baskerville code trains them.
pub(super) const BOTTLENECK_SPREAD: f64 = 1e-3;

#[derive(Clone, Copy)]
pub(super) enum Start {
    Constant(f32),
    Uniform(f64),
    /// Normal within two standard deviations.
    Normal(f64),
}

impl Start {
    fn draw(self, random: &mut Random) -> f32 {
        match self {
            Self::Constant(number) => number,
            Self::Uniform(bound) => single((2.0 * random.uniform() - 1.0) * bound),
            Self::Normal(spread) => loop {
                let drawn = random.normal();
                if drawn.abs() <= 2.0 {
                    break single(drawn * spread);
                }
            },
        }
    }
}

/// A tensor with its first numbers, from a stream of its own.
pub(super) fn drawn(name: String, shape: Vec<usize>, start: Start, stream: &[u64]) -> NamedWeight {
    let mut random = Random::of(stream);
    let count = shape.iter().product();
    let numbers = (0..count).map(|_| start.draw(&mut random)).collect();
    (name, shape, numbers)
}
