//! The parts that HTML pages are made of. Everything is well-formed XML too.

use std::fmt::Write as _;

/// The style of the page.
pub(super) const STYLE: &str = include_str!("page.css");

/// The whole page. `name` is escaped.
pub(super) fn page(name: &str, heading: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>Layer study {name}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<header>\n{heading}</header>\n<main>\n{body}</main>\n\
         <footer>Report of vestore {}; every number comes from the catalog of the store.</footer>\n</body>\n</html>\n",
        STYLE,
        env!("CARGO_PKG_VERSION")
    )
}

/// A titled part of the page.
pub(super) fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>\n")
}

/// A paragraph of a class; `html` is escaped already.
pub(super) fn paragraph(class: &str, html: &str) -> String {
    if class.is_empty() { format!("<p>{html}</p>\n") } else { format!("<p class=\"{class}\">{html}</p>\n") }
}

/// A part that stands for something that there is not.
pub(super) fn absent(text: &str) -> String {
    format!("<span class=\"absent\">{text}</span>")
}

/// A table whose first column names its rows, and which scrolls by itself where the page is narrow.
pub(super) struct Table {
    caption: String,
    head: Vec<String>,
    rows: Vec<(&'static str, Vec<String>)>,
}

impl Table {
    /// Of a caption without tags, and the titles of its columns, HTML.
    pub(super) fn new(caption: &str, head: Vec<String>) -> Self {
        Self { caption: caption.to_owned(), head, rows: Vec::new() }
    }

    /// Adds a row of HTML cells, of a class or none.
    pub(super) fn row(&mut self, class: &'static str, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len(), "{cells:?}");
        self.rows.push((class, cells));
    }

    pub(super) fn html(&self) -> String {
        // The caption stands outside, where it does not scroll.
        let mut html = paragraph("caption", &self.caption);
        let mut put =
            |text: std::fmt::Arguments<'_>| html.write_fmt(text).expect("writing to a string; this is a bug");
        put(format_args!("<div class=\"wide\" tabindex=\"0\">\n<table aria-label=\"{}\">\n", self.caption));
        put(format_args!("<thead><tr>"));
        for title in &self.head {
            put(format_args!("<th scope=\"col\">{title}</th>"));
        }
        put(format_args!("</tr></thead>\n<tbody>\n"));
        for (class, cells) in &self.rows {
            put(format_args!(
                "{}",
                if class.is_empty() { "<tr>".to_owned() } else { format!("<tr class=\"{class}\">") }
            ));
            for (at, cell) in cells.iter().enumerate() {
                match at {
                    0 => put(format_args!("<th scope=\"row\">{cell}</th>")),
                    _ => put(format_args!("<td>{cell}</td>")),
                }
            }
            put(format_args!("</tr>\n"));
        }
        put(format_args!("</tbody>\n</table>\n</div>\n"));
        html
    }
}
