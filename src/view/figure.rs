//! The heatmap as a figure for print: genes, positions and a heatmap for each column, an SVG.

use std::fmt::Write as _;

use super::document::{ColumnView, Document, GeneView, TrackView};
use super::shades::{Shades, colour};
use crate::grouped::grouped;
use crate::markup::escaped;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const CELL: f64 = 13.0;
const ROWS: [&str; 5] = ["A", "C", "G", "T", "other"];
/// Widths of a base from which its letter is drawn, and the dot of a reference cell.
const LETTERS: f64 = 7.0;
const DOTS: f64 = 3.0;
/// Genes are drawn in so many rows; further ones share the last.
const GENE_ROWS: usize = 4;
const INK: &str = "#1b2228";
const SOFT: &str = "#586470";
const FAINT: &str = "#f3f5f1";
const GENE: &str = "#33415c";
const MISSING: &str = "#d3d7da";

/// The figure of `document`.
pub(super) fn draw(document: &Document) -> String {
    let mut figure = Figure { document, svg: String::new(), y: 22.0 };
    figure.title();
    figure.genes();
    figure.ruler();
    figure.sequence();
    for track in &document.tracks {
        let is_calibration = |column: &&ColumnView| {
            track.columns.iter().any(|one| one.percentile.as_ref() == Some(&column.name))
        };
        for column in track.columns.iter().filter(|column| !is_calibration(column)) {
            let named = |name: &String| track.columns.iter().find(|one| one.name == *name);
            let shades = Shades::new(column, column.percentile.as_ref().and_then(named));
            figure.heatmap(track, column, &shades);
        }
    }
    let (svg, y) = (figure.svg, figure.y + 12.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"Helvetica, Arial, sans-serif\">\n<title>{}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>\n{svg}</svg>\n",
        escaped(&document.title)
    )
}

struct Figure<'a> {
    document: &'a Document,
    svg: String,
    /// The bottom of what is drawn.
    y: f64,
}

impl Figure<'_> {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(text).expect("writing to a string; this is a bug");
        self.svg.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, size: f64, fill: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!(
            "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" fill=\"{fill}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\"/>"
        ));
    }

    /// Bases shown.
    fn span(&self) -> f64 {
        f64::from(self.document.end - self.document.start + 1)
    }

    fn base_width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.span()
    }

    /// Where a 1-based position begins.
    fn x(&self, one_based: u32) -> f64 {
        LEFT + (f64::from(one_based) - f64::from(self.document.start)) * self.base_width()
    }

    fn title(&mut self) {
        let document = self.document;
        self.text(LEFT, self.y, 15.0, INK, "start", &document.title);
        let assembly = document.assembly.as_deref().unwrap_or_default();
        self.text(WIDTH - RIGHT, self.y, 11.0, SOFT, "end", assembly);
        self.y += 12.0;
    }

    fn genes(&mut self) {
        let document = self.document;
        let mut ends: Vec<u32> = Vec::new();
        let top = self.y;
        for gene in &document.genes {
            let free = ends.iter().position(|end| *end < gene.start);
            let row = free.unwrap_or(ends.len()).min(GENE_ROWS - 1);
            match ends.get_mut(row) {
                Some(end) => *end = gene.end.max(*end),
                None => ends.push(gene.end),
            }
            self.gene(gene, top + 22.0 * row as f64);
        }
        self.y += 22.0 * ends.len() as f64;
    }

    fn gene(&mut self, gene: &GeneView, top: f64) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (from, to) = (self.x(gene.start).max(left), (self.x(gene.end) + self.base_width()).min(right));
        let middle = top + 16.0;
        self.put(format_args!(
            "<path d=\"M{from:.2} {middle}L{to:.2} {middle}\" stroke=\"{GENE}\" stroke-width=\"1\"/>"
        ));
        for (start, end) in &gene.exons {
            let (from, to) = (self.x(*start).max(left), (self.x(*end) + self.base_width()).min(right));
            if to > from {
                self.rect(from, middle - 4.0, (to - from).max(0.6), 8.0, GENE);
            }
        }
        let name = if gene.strand == '-' {
            format!("\u{2190} {}", gene.id)
        } else {
            format!("{} \u{2192}", gene.id)
        };
        self.text(from, middle - 6.5, 9.5, INK, "start", &name);
    }

    fn ruler(&mut self) {
        let document = self.document;
        self.y += 20.0;
        let y = self.y;
        let wanted = self.span() / 8.0;
        let power = 10_f64.powf(wanted.max(1.0).log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= wanted);
        let step = whole(step.unwrap_or(1.0).max(1.0));
        let (first, last) = (document.start.div_ceil(step), document.end / step);
        self.put(format_args!(
            "<path d=\"M{LEFT} {y}L{} {y}\" stroke=\"{SOFT}\" stroke-width=\"0.7\"/>",
            WIDTH - RIGHT
        ));
        for mark in (first..=last).map(|mark| mark * step) {
            let x = self.x(mark) + self.base_width() / 2.0;
            self.put(format_args!(
                "<path d=\"M{x:.2} {}L{x:.2} {y}\" stroke=\"{SOFT}\" stroke-width=\"0.7\"/>",
                y - 4.0
            ));
            let anchor = if x > WIDTH - 60.0 { "end" } else { "middle" };
            self.text(x, y - 7.0, 9.5, SOFT, anchor, &grouped(mark.into()));
        }
        self.y += 4.0;
    }

    fn sequence(&mut self) {
        let width = self.base_width();
        if width < LETTERS {
            return;
        }
        self.y += 12.0;
        let document = self.document;
        for (base, position) in document.sequence.chars().zip(document.start..) {
            let x = self.x(position) + width / 2.0;
            self.text(x, self.y, (width + 2.0).min(11.0), INK, "middle", base.encode_utf8(&mut [0; 4]));
        }
    }

    fn heatmap(&mut self, track: &TrackView, column: &ColumnView, shades: &Shades) {
        self.y += 30.0;
        self.text(LEFT, self.y, 12.0, INK, "start", &format!("{} · {}", track.name, column.name));
        self.text(LEFT, self.y + 14.0, 9.5, SOFT, "start", shades.direction);
        self.legend(column, shades);
        self.y += 22.0;
        let document = self.document;
        let (width, end) = (WIDTH - LEFT - RIGHT, WIDTH - RIGHT);
        let bins = whole(self.span().min(width).floor());
        let grid = Grid::new(document, track, shades, bins);
        for (row, label) in ROWS.iter().enumerate().take(grid.rows) {
            let y = self.y;
            let size = if row == 4 { 8.5 } else { 10.0 };
            self.text(LEFT - 5.0, y + 9.5, size, SOFT, "end", label);
            self.rect(LEFT, y, width, CELL - 1.0, FAINT);
            let edge = |bin: usize| (LEFT + bin as f64 * width / f64::from(bins)).min(end);
            let cells = &grid.cells[row];
            let fill = |cell: &Cell| match cell {
                Cell::Empty => None,
                Cell::Missing => Some(MISSING.to_owned()),
                Cell::Shade(shade) => Some(colour(*shade, shades.signed)),
            };
            let mut from = 0;
            while from < cells.len() {
                let here = fill(&cells[from]);
                let run = cells[from..].iter().take_while(|cell| fill(cell) == here).count();
                if let Some(here) = here {
                    self.rect(edge(from), y, edge(from + run) - edge(from), CELL - 1.0, &here);
                }
                from += run;
            }
            if self.base_width() >= DOTS && row < 4 {
                for (base, position) in document.sequence.chars().zip(document.start..) {
                    if base.encode_utf8(&mut [0; 4]) == *label {
                        let x = self.x(position) + self.base_width() / 2.0;
                        let y = y + CELL / 2.0 - 0.5;
                        self.put(format_args!(
                            "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"1.2\" fill=\"{SOFT}\"/>"
                        ));
                    }
                }
            }
            self.y += CELL;
        }
    }

    fn legend(&mut self, column: &ColumnView, shades: &Shades) {
        let (width, steps) = (200.0, 50);
        let (x, y) = (WIDTH - RIGHT - width, self.y - 10.0);
        let low = if shades.signed { -1.0 } else { 0.0 };
        for step in 0..steps {
            let at = (f64::from(step) + 0.5) / f64::from(steps);
            let shade = crate::narrow::to_score(low + (1.0 - low) * at);
            let left = x + width * f64::from(step) / f64::from(steps);
            self.rect(left, y, width / f64::from(steps) + 0.05, 8.0, &colour(shade, shades.signed));
        }
        for (at, text) in shades.ticks() {
            for at in if shades.signed { vec![f64::from(at), -f64::from(at)] } else { vec![f64::from(at)] } {
                let tick = x + width * (at - low) / (1.0 - low);
                let anchor = if tick > x + width - 8.0 { "end" } else { "middle" };
                self.text(tick, y + 17.0, 8.0, SOFT, anchor, &text);
            }
        }
        let of = match &column.percentile {
            Some(name) => format!("calibrated percentile ({name})"),
            None => format!("percentile among {} scores shown", grouped(shades.scored as u64)),
        };
        self.text(x - 8.0, y + 8.0, 9.0, SOFT, "end", &of);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Empty,
    /// A row without a score.
    Missing,
    Shade(f32),
}

/// The most extreme shade of each row and bin.
struct Grid {
    cells: [Vec<Cell>; 5],
    /// How many rows there are: the last only where there are variants other than SNVs.
    rows: usize,
}

impl Grid {
    fn new(document: &Document, track: &TrackView, shades: &Shades, bins: u32) -> Self {
        let mut grid = Self { cells: std::array::from_fn(|_| vec![Cell::Empty; bins as usize]), rows: 4 };
        let span = u64::from(document.end - document.start) + 1;
        for ((index, shade), status) in shades.values.iter().enumerate().zip(track.codes()) {
            let (position, reference, alternate) = document.variants.get(index);
            let snv = if reference.len() == 1 {
                ROWS[..4].iter().position(|base| *base == alternate)
            } else {
                None
            };
            let row = snv.unwrap_or(4);
            grid.rows = grid.rows.max(row + 1);
            let at = u64::from(position.saturating_sub(document.start)) * u64::from(bins) / span;
            let Some(cell) = grid.cells[row].get_mut(crate::narrow::to_usize(at)) else { continue };
            *cell = match *cell {
                Cell::Shade(old) if shade.is_nan() || old.abs() >= shade.abs() => Cell::Shade(old),
                Cell::Empty if shade.is_nan() && status == 0 => Cell::Empty,
                _ if shade.is_nan() => Cell::Missing,
                _ => Cell::Shade(*shade),
            };
        }
        grid
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "steps and bins are whole numbers below 2^32"
)]
const fn whole(number: f64) -> u32 {
    number as u32
}
