//! ROC and precision-recall curves as an SVG picture.

use std::error::Error;

use plotters::prelude::*;

use super::ranking::Curves;

/// Width and height in pixels.
const SIZE: (u32, u32) = (1120, 600);

/// Draws the curves of several columns of scores, side by side: ROC left; precision over recall right, in steps as
/// average precision takes them, with a faint line at the precision of a score without information.
///
/// # Errors
/// When the drawing library refuses.
pub fn plot_curves(curves: &[(String, Curves)]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let text = |error: Box<dyn Error>| -> Box<dyn Error + Send + Sync> { error.to_string().into() };
    draw(curves).map_err(text)
}

fn draw(curves: &[(String, Curves)]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let panels = area.split_evenly((1, 2));
    for (panel, ranks) in panels.iter().zip([true, false]) {
        let (x, y) =
            if ranks { ("false positive rate", "true positive rate") } else { ("recall", "precision") };
        let mut chart = ChartBuilder::on(panel)
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        chart.configure_mesh().x_desc(x).y_desc(y).max_light_lines(0).draw()?;
        for (number, (name, curves)) in curves.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let points = if ranks { curves.roc.clone() } else { steps(&curves.precision_recall) };
            // All rows called: the share of positives.
            let share = curves.precision_recall.last().map_or(0.0, |(_, precision)| *precision);
            let chance = if ranks { [(0.0, 0.0), (1.0, 1.0)] } else { [(0.0, share), (1.0, share)] };
            chart
                .draw_series(LineSeries::new(chance, if ranks { BLACK.mix(0.2) } else { color.mix(0.4) }))?;
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
    }
    area.present()?;
    drop((panels, area));
    Ok(svg)
}

/// Each precision from the recall before it to its own.
fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut before = 0.0;
    let step = |(recall, precision): &(f64, f64)| {
        let from = std::mem::replace(&mut before, *recall);
        [(from, *precision), (*recall, *precision)]
    };
    points.iter().flat_map(step).collect()
}
