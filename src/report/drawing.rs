//! A drawing of the report: part of the page, or a figure by itself.

use super::page::STYLE;

/// Pixels of the lines above and below a drawing that stands by itself, of its least width, and of its margin.
const TITLE: f64 = 34.0;
const KEY: f64 = 26.0;
const WIDTH: f64 = 620.0;
const MARGIN: f64 = 12.0;

/// A drawing in pixels.
pub(super) struct Drawing {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What is read to those who do not see it, escaped.
    pub(super) label: String,
    /// SVG of the classes that the style of the page knows.
    pub(super) body: String,
}

impl Drawing {
    /// As an element of the page, of a class or none.
    pub(super) fn inline(&self, class: &str) -> String {
        let Self { width, height, label, body } = self;
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        format!(
            "<svg{class} viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\" \
             aria-label=\"{label}\">\n{body}</svg>\n"
        )
    }

    /// As a file, with a title above and a key below, both escaped.
    pub(super) fn whole(&self, title: &str, key: &str) -> String {
        let (width, height) = (self.width.max(WIDTH) + 2.0 * MARGIN, self.height + TITLE + KEY);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\">\n<style>\n{}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text class=\"name\" x=\"{MARGIN}\" y=\"22\">{title}</text>\n\
             <g transform=\"translate({MARGIN},{TITLE})\">\n{}</g>\n\
             <text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"11\">{key}</text>\n</svg>\n",
            style(),
            self.body,
            height - 9.0
        )
    }
}

/// What the page says of drawings, in its light colours, which not every program that draws SVG can look up.
fn style() -> String {
    let light = STYLE.split("@media").next().unwrap_or_default().split([';', '{', '}']);
    let colours = light.filter_map(|rule| rule.trim().strip_prefix("--")?.split_once(": "));
    let rules = STYLE.lines().filter(|line| line.starts_with("svg"));
    let mut style: String = rules.flat_map(|rule| [rule, "\n"]).collect();
    for (name, value) in colours {
        style = style.replace(&format!("var(--{name})"), value);
    }
    style
}

#[cfg(test)]
mod tests {
    use super::style;

    #[test]
    fn a_figure_by_itself_has_its_colours() {
        let style = style();
        assert!(
            style.contains("svg .cornerstone .bar { fill: #0b5f9e;") && !style.contains("var("),
            "{style}"
        );
    }
}
