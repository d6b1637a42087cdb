//! The loss of a training over its steps, as an SVG picture.

use std::error::Error;

use plotters::prelude::*;

use super::state::LossPoint;

/// Width and height in pixels.
const SIZE: (u32, u32) = (960, 540);

/// Draws the losses of the training windows and of the held-out ones.
///
/// # Errors
/// When the drawing library refuses.
pub(crate) fn plot_losses(
    losses: &[LossPoint],
    held_out: &[LossPoint],
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let text = |error: Box<dyn Error>| -> Box<dyn Error + Send + Sync> { error.to_string().into() };
    draw(losses, held_out).map_err(text)
}

fn draw(losses: &[LossPoint], held_out: &[LossPoint]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let all = || losses.iter().chain(held_out);
    let last = all().map(|point| point.step).max().unwrap_or(1).max(1);
    let low = all().map(|point| point.loss).fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.loss).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    let margin = (high - low) * 0.05;
    let mut chart = ChartBuilder::on(&area)
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(72)
        .build_cartesian_2d(0..last, low - margin..high + margin)?;
    chart.configure_mesh().x_desc("step").y_desc("loss, nats").draw()?;
    let series =
        [(losses, BLUE, "training windows, masked tokens"), (held_out, RED, "held out, masked tokens")];
    for (points, color, name) in series {
        if points.is_empty() {
            continue;
        }
        let line =
            LineSeries::new(points.iter().map(|point| (point.step, point.loss)), color.stroke_width(2));
        chart
            .draw_series(line)?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    drop((chart, area));
    Ok(svg)
}
