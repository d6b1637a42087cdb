//! Quantile normalization: every column gets the same distribution, the mean of all.

use crate::evaluate::order::Order;

/// Normalizes columns of equal length. Equal values share the mean of their places.
pub(super) fn normalize(columns: &mut [Vec<f64>]) {
    let Some(rows) = columns.first().map(Vec::len) else { return };
    let orders: Vec<Order> = columns.iter().map(|column| Order::new(column)).collect();
    let mut means = vec![0.0; rows];
    for (order, column) in orders.iter().zip(columns.iter()) {
        let sorted = order.runs().flatten();
        for (mean, place) in means.iter_mut().zip(sorted) {
            *mean += column[*place as usize];
        }
    }
    for mean in &mut means {
        *mean /= columns.len() as f64;
    }
    for (order, column) in orders.iter().zip(columns) {
        let mut first = 0;
        for run in order.runs() {
            let share = means[first..first + run.len()].iter().sum::<f64>() / run.len() as f64;
            for place in run {
                column[*place as usize] = share;
            }
            first += run.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of the Python package qnorm.
    #[test]
    fn columns_are_normalized_as_qnorm_does() {
        let mut columns =
            vec![vec![5.0, 2.0, 3.0, 4.0, 2.0], vec![4.0, 1.0, 4.0, 2.0, 2.0], vec![3.0, 4.0, 6.0, 8.0, 3.0]];
        normalize(&mut columns);
        let expected = [
            [5.666_666_67, 2.166_666_67, 3.0, 4.666_666_67, 2.166_666_67],
            [5.166_666_67, 2.0, 5.166_666_67, 2.666_666_67, 2.666_666_67],
            [2.166_666_67, 3.0, 4.666_666_67, 5.666_666_67, 2.166_666_67],
        ];
        for (column, expected) in columns.iter().flatten().zip(expected.iter().flatten()) {
            assert!((column - expected).abs() < 1e-8, "{column} {expected}");
        }
        normalize(&mut []);
    }
}
