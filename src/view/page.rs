//! The page: one HTML file with its styles, its script and the document. Nothing is fetched, which a policy in the page
//! enforces, and nothing that a store or a file holds can become markup or a script.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::document::Document;
use crate::markup::escaped;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// In the order in which they build on each other.
const SCRIPTS: [&str; 8] = [
    include_str!("page/data.js"),
    include_str!("page/shade.js"),
    include_str!("page/surface.js"),
    include_str!("page/lanes.js"),
    include_str!("page/panel.js"),
    include_str!("page/figure.js"),
    include_str!("page/save.js"),
    include_str!("page/main.js"),
];

/// Writes the page of `document`.
pub(super) fn write(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data: blob:; base-uri 'none'; form-action 'none'",
        digest(&script),
        digest(STYLE)
    );
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        out.write_all(before.as_bytes())?;
        match name {
            "title" => out.write_all(escaped(&document.title).as_bytes())?,
            "policy" => out.write_all(policy.as_bytes())?,
            "style" => out.write_all(STYLE.as_bytes())?,
            "script" => out.write_all(script.as_bytes())?,
            "data" => serde_json::to_writer(Data(&mut *out), document)?,
            _ => {}
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// JSON on its way into a script element: `<` occurs in its texts alone, and as an escape it can neither end the element
/// nor begin a comment.
struct Data<W>(W);

impl<W: Write> Write for Data<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let plain = memchr::memchr(b'<', bytes).unwrap_or(bytes.len());
        if plain > 0 {
            return self.0.write(&bytes[..plain]);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        self.0.write_all(b"\\u003c")?;
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element() {
        let hostile = ["</script><script>alert(1)</script>", "<!--<script>", "a]]>b", "x"];
        let mut out = Vec::new();
        serde_json::to_writer(Data(&mut out), &hostile).unwrap();
        assert!(!out.contains(&b'<'));
        let read: Vec<String> = serde_json::from_slice(&out).unwrap();
        assert_eq!(read, hostile);
    }

    #[test]
    fn every_place_of_the_page_is_known() {
        let names = PAGE.split("{{").skip(1).map(|part| part.split("}}").next().unwrap());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["data", "policy", "script", "style", "title"]);
        let ends = |script: &&str| ["</script", "<!--"].iter().any(|end| script.to_lowercase().contains(end));
        assert!(!SCRIPTS.iter().any(ends), "a script would end its element");
    }
}
