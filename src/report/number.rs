//! How numbers are written in the report.

/// Minus signs as type has them, and no negative zero.
fn typeset(text: &str) -> String {
    let zero = text.starts_with('-') && !text.contains(|digit: char| ('1'..='9').contains(&digit));
    text.strip_prefix('-').map_or_else(
        || text.to_owned(),
        |digits| if zero { digits.to_owned() } else { format!("\u{2212}{digits}") },
    )
}

/// A metric: four decimals, fewer where it is large.
pub(super) fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size < 100.0 => 4,
        size if size < 10_000.0 => 2,
        _ => 0,
    };
    typeset(&format!("{value:.decimals$}"))
}

/// A standard deviation beside a [`figure`]; one that is not nothing is not written as nothing.
pub(super) fn deviation(value: f64) -> String {
    if value > 0.0 && value < 0.000_05 { "&lt; 0.0001".to_owned() } else { figure(value) }
}

/// A difference with its sign.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = typeset(&format!("{value:.decimals$}"));
    let nothing = !text.contains(|digit: char| ('1'..='9').contains(&digit));
    if nothing || text.starts_with('\u{2212}') { text } else { format!("+{text}") }
}

/// A count with its thousands apart.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that count.
fn three(value: f64) -> String {
    let decimals = match value.abs() {
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    typeset(&format!("{value:.decimals$}"))
}

/// A time in the units that people use for one so long.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time is not negative")]
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        short if short < 1e-3 => format!("{}\u{a0}µs", three(short * 1e6)),
        short if short < 1.0 => format!("{}\u{a0}ms", three(short * 1e3)),
        some if some < 60.0 => format!("{}\u{a0}s", three(some)),
        some if some < 3600.0 => format!("{}\u{a0}min {:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h {:02}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

/// Memory.
pub(super) fn bytes(value: u64) -> String {
    let mebibytes = value as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 {
        format!("{}\u{a0}MiB", three(mebibytes))
    } else {
        format!("{}\u{a0}GiB", three(mebibytes / 1024.0))
    }
}

/// A part of a whole in per cent.
pub(super) fn share(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    match percent {
        all if part == whole || all >= 99.95 => format!("{all:.0}\u{a0}%"),
        small if small < 1.0 => format!("{small:.2}\u{a0}%"),
        some => format!("{some:.1}\u{a0}%"),
    }
}

/// A Unix second as a date and time to the minute, UTC.
pub(super) fn date(second: u64) -> String {
    let utc = crate::date::utc(second);
    let (day, time) = utc.split_once('T').expect("a date has a time; this is a bug");
    format!("{day} {} UTC", &time[..5])
}

/// Round numbers for an axis from `low` to `high`, which they enclose: about five, steps of 1, 2 or 5.
#[expect(clippy::cast_possible_truncation, reason = "a step is at least a 5,000,000th of either end")]
pub(super) fn ticks(low: f64, high: f64) -> Vec<f64> {
    // Far from 0, numbers that are nearly equal have no round ones between them.
    let (low, high) = (low.max(-1e300), high.min(1e300));
    let rough = (high - low).max(1e-9).max(low.abs().max(high.abs()) * 1e-6) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|by| by * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    (first..=last.max(first + 1)).map(|at| at as f64 * step).collect()
}

/// The ticks of an axis, all with the decimals that tell them apart.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 8")]
pub(super) fn tick_labels(ticks: &[f64]) -> Vec<String> {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, f64::min);
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 8.0) as usize;
    ticks.iter().map(|tick| typeset(&format!("{tick:.decimals$}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(
            [0.812_34, -0.5, -0.000_01, 1234.567].map(figure),
            ["0.8123", "−0.5000", "0.0000", "1234.57"]
        );
        assert_eq!([0.0, 0.000_01, 0.01].map(deviation), ["0.0000", "&lt; 0.0001", "0.0100"]);
        assert_eq!([1.25, -3.0, 0.01].map(|value| signed(value, 1)), ["+1.2", "−3.0", "0.0"]);
        assert_eq!([7, 1000, 29_100_000].map(count), ["7", "1,000", "29,100,000"]);
        assert_eq!(
            [0.000_25, 0.0595, 12.34, 75.4, 5400.0].map(duration),
            ["250\u{a0}µs", "59.5\u{a0}ms", "12.3\u{a0}s", "1\u{a0}min 15\u{a0}s", "1\u{a0}h 30\u{a0}min"]
        );
        assert_eq!(duration(9.999), "10.0\u{a0}s");
        assert_eq!([900 << 20, 3 << 30].map(bytes), ["900\u{a0}MiB", "3.00\u{a0}GiB"]);
        assert_eq!(
            [(1, 1), (7, 5000), (1, 3)].map(|(part, whole)| share(part, whole)),
            ["100\u{a0}%", "0.14\u{a0}%", "33.3\u{a0}%"]
        );
        assert_eq!([0, 951_782_400, 1_795_258_812].map(date)[1], "2000-02-29 00:00 UTC");
        assert_eq!(date(1_795_258_812), "2026-11-21 11:00 UTC");
        assert_eq!(ticks(-3.0, 12.0), [-5.0, 0.0, 5.0, 10.0, 15.0]);
        assert_eq!(ticks(0.0, 0.0).len(), 2);
        assert!((2..9).contains(&ticks(1e20, 1e20).len()) && ticks(-1e308, 1e308).len() < 9);
        assert_eq!(tick_labels(&ticks(-0.1, 0.3)), ["−0.1", "0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(tick_labels(&[0.8, 0.85]), ["0.80", "0.85"]);
        assert_eq!(tick_labels(&[0.0, 50.0]), ["0", "50"]);
    }
}
