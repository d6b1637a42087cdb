//! The page that describes a hub.

use std::fmt::Write as _;

use super::genome::Genome;
use super::track_db::Score;
use super::{COLOURS, HubOptions};
use crate::export::folder::Exported;
use crate::export::position::BASES;
use crate::markup::escaped;

/// What the tracks are and how to read them.
pub(super) fn description(options: &HubOptions, genome: &Genome, scores: &[(&Score, &Exported)]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{0}</title></head>\n<body>\n\
         <h1>{0}</h1>\n<h2>Description</h2>\n<p>Scores of single-nucleotide variants on {1}, exported by vestore.</p>\n\
         <ul>\n",
        escaped(&options.name),
        escaped(&genome.name)
    );
    for (score, of) in scores {
        let track = &of.track;
        let source = match &track.external {
            Some(external) => {
                format!("imported from a file of SHA-256 {}{}", external.source, track.precision_text())
            }
            None => format!("model {}, {}", track.model, track.recipe_text()),
        };
        let _ = writeln!(
            page,
            "<li><b>{}</b>; track {}, {}; {} to {}</li>",
            escaped(&score.legend),
            escaped(&track.id.to_string()),
            escaped(&source),
            score.spread.least,
            score.spread.greatest
        );
    }
    page += "</ul>\n<h2>Display conventions</h2>\n<p>The overlay has a colour for each alternate base:";
    for (base, colour) in BASES.iter().zip(COLOURS) {
        let _ = write!(page, " <span style=\"color:rgb({colour})\">{base}</span>");
    }
    page += ". The heatmap has a row for each alternate base; the cell of the reference base is empty. Its colours run \
             from the lowest to the highest 1 in 1,000 of the scores, towards vermillion where a score suggests an \
             effect; 0 is grey where scores have both signs.</p>\n";
    let _ =
        write!(page, "<h2>Credits</h2>\n<p>Questions: {}</p>\n</body>\n</html>\n", escaped(&options.email));
    page
}
