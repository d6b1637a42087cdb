use super::*;
use vestore_schema::Position;

fn variant(position: u32, alternate: &str) -> Variant {
    Variant {
        contig: 0,
        position: Position::new(position),
        reference: "A".into(),
        alternate: alternate.into(),
    }
}

#[test]
fn sums_are_those_of_a_plain_loop() {
    for width in [1, 7, 8, 9, 64, 1023] {
        let a: Vec<f32> = (0..width).map(|at| (at as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..width).map(|at| (at as f32 * 1.91).cos() * 1e3).collect();
        let pairs = || a.iter().zip(&b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let product: f64 = pairs().map(|(a, b)| a * b).sum();
        let distance: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
        assert!((dot(&a, &b) - product).abs() <= 1e-9 * product.abs().max(1.0), "{width}");
        assert!((squared_distance(&a, &b) - distance).abs() <= 1e-9 * distance, "{width}");
    }
    // In float32 the first product would swallow the others.
    assert_eq!(dot(&[1e4, 1.0, 1.0], &[1e4, 1.0, 1.0]), 1e8 + 2.0);
}

#[test]
fn the_nearest_are_kept_whatever_the_order_they_come_in() {
    let mut all: Vec<Neighbour> = (0..200_u32)
        .map(|at| Neighbour { distance: f64::from(at * 37 % 11), variant: variant(at * 61 % 200, "C") })
        .collect();
    for top in [1, 2, 50, 199, 500] {
        let mut expected = all.clone();
        expected.sort();
        expected.truncate(top);
        for _ in 0..3 {
            all.rotate_left(67);
            let mut nearest = Nearest::new(top);
            for neighbour in &all {
                if nearest.may_take(neighbour.distance) {
                    nearest.take(neighbour.clone());
                }
            }
            assert_eq!(nearest.sorted(), expected, "{top}");
        }
    }
}
