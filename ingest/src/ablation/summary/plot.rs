//! The profile of a model: what each layer does to a score, as an SVG picture.

use std::error::Error;

use plotters::coord::types::RangedCoordu32;
use plotters::prelude::*;

use super::{Figure, LayerSummary, Summary};

/// Width and height in pixels.
const SIZE: (u32, u32) = (960, 640);

/// A figure of a layer.
type Pick = fn(&LayerSummary) -> Option<Figure>;

/// Draws the mean magnitude of the change and the rank correlation, with their intervals, over the layers.
///
/// # Errors
/// When the drawing library refuses.
pub fn plot(summary: &Summary) -> Result<String, Box<dyn Error + Send + Sync>> {
    let text = |error: Box<dyn Error>| -> Box<dyn Error + Send + Sync> { error.to_string().into() };
    draw(summary).map_err(text)
}

fn draw(summary: &Summary) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title =
        format!("{}: {} without each layer, {} variants", summary.track, summary.column, summary.variants);
    let panels = area.titled(&title, ("sans-serif", 20))?.split_evenly((2, 1));
    let picks: [(&str, Pick); 2] = [
        ("mean |change|", |layer| layer.figures.mean_magnitude),
        ("Spearman with full", |layer| layer.figures.spearman),
    ];
    for (panel, (name, pick)) in panels.iter().zip(picks) {
        let found: Vec<(u32, Figure)> =
            summary.layers.iter().filter_map(|layer| Some((layer.layer, pick(layer)?))).collect();
        let low = found.iter().map(|(_, figure)| figure.low).fold(0.0, f64::min);
        let high = found.iter().map(|(_, figure)| figure.high).fold(f64::MIN_POSITIVE, f64::max);
        let last = summary.layers.iter().map(|layer| layer.layer).max().unwrap_or(0);
        let mut chart = ChartBuilder::on(panel)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(RangedCoordu32::from(0..last + 1), low..high * 1.05)?;
        chart.configure_mesh().x_desc("layer").y_desc(name).x_labels(last as usize + 2).draw()?;
        chart.draw_series(LineSeries::new(
            found.iter().map(|(layer, figure)| (*layer, figure.value)),
            &BLUE,
        ))?;
        chart.draw_series(found.iter().map(|(layer, figure)| {
            PathElement::new(vec![(*layer, figure.low), (*layer, figure.high)], BLACK)
        }))?;
        chart.draw_series(
            found.iter().map(|(layer, figure)| Circle::new((*layer, figure.value), 3, BLUE.filled())),
        )?;
    }
    area.present()?;
    drop((panels, area));
    Ok(svg)
}
