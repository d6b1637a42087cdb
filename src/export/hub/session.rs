//! Sessions of IGV: XML for the desktop program, JSON for igv.js and IGV-Web. Paths are relative to the folder.

use std::fmt::Write as _;

use serde_json::json;

use super::COLOURS;
use super::track_db::Score;
use crate::export::folder::Exported;
use crate::export::position::BASES;
use crate::markup::escaped;

/// The session of IGV Desktop, which resolves paths against the session's own.
pub(super) fn igv_xml(genome: &str, locus: &str, scores: &[(&Score, &Exported)]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n\
         <Session genome=\"{}\" hasGeneTrack=\"true\" hasSequenceTrack=\"true\" locus=\"{}\" version=\"8\">\n\
         \x20   <Resources>\n",
        escaped(genome),
        escaped(locus)
    );
    let mut resource = |path: &str, name: &str, colour: Option<&str>| {
        let colour = colour.map(|colour| format!(" color=\"{colour}\"")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "        <Resource path=\"{}\" name=\"{}\"{colour}/>",
            escaped(path),
            escaped(name)
        );
    };
    for (score, of) in scores {
        for (base, colour) in BASES.iter().zip(COLOURS) {
            resource(&format!("{}.{base}.bw", score.stem), &format!("{} {base}", of.name()), Some(colour));
        }
        resource(&format!("{}.bb", score.stem), &of.name(), None);
    }
    text + "    </Resources>\n</Session>\n"
}

/// The session of igv.js, which resolves addresses against the page that shows it.
pub(super) fn igv_json(genome: &str, locus: &str, scores: &[(&Score, &Exported)]) -> String {
    let mut tracks = Vec::new();
    for (score, of) in scores {
        for (base, colour) in BASES.iter().zip(COLOURS) {
            tracks.push(json!({
                "name": format!("{} {base}", of.name()),
                "type": "wig",
                "format": "bigwig",
                "url": format!("{}.{base}.bw", score.stem),
                "color": format!("rgb({colour})"),
                "autoscale": true,
            }));
        }
        tracks.push(json!({
            "name": of.name(),
            "type": "annotation",
            "format": "bigbed",
            "url": format!("{}.bb", score.stem),
            "displayMode": "EXPANDED",
        }));
    }
    format!("{:#}\n", json!({ "genome": genome, "locus": locus, "tracks": tracks }))
}
