//! `hub.txt` and `trackDb.txt`, of settings that <https://genome.ucsc.edu/goldenPath/help/trackDb/trackDbHub.html>
//! and <https://genome.ucsc.edu/goldenPath/help/hgTrackHubHelp.html> document.

use std::collections::HashSet;

use super::{COLOURS, HubOptions};
use crate::export::cell::write_score;
use crate::export::folder::Exported;
use crate::export::position::BASES;
use crate::export::spread::Spread;

/// Longest labels in characters, as documented.
const SHORT: usize = 17;
const LONG: usize = 76;

/// The files of a score.
pub(super) struct Score {
    /// Beginning of their names.
    pub(super) stem: String,
    pub(super) spread: Spread,
    /// What the score is, in one line.
    pub(super) legend: String,
}

/// The settings of the hub itself.
pub(super) fn hub_txt(options: &HubOptions, genome: &str) -> String {
    let HubOptions { name, email, .. } = options;
    let (short, long) = (cut(name, SHORT), cut(&format!("{name}: variant effects on {genome}"), LONG));
    format!(
        "hub {name}\nshortLabel {short}\nlongLabel {long}\ngenomesFile genomes.txt\nemail {email}\n\
         descriptionUrl description.html\n"
    )
}

/// A folder for each track; in it, for each score, an overlay of the four bigWigs and the heatmap.
pub(super) fn track_db(scores: &[(&Score, &Exported)]) -> String {
    let mut ids = Ids::default();
    let mut stanzas: Vec<String> = Vec::new();
    let (mut folder, mut of) = (String::new(), None);
    let mut priority = 0;
    for (score, exported) in scores {
        let (track, column) = (&exported.track.name, &exported.column);
        let Score { stem, spread, legend } = score;
        if of != Some(track) {
            of = Some(track);
            folder = ids.unused(track);
            stanzas.push(stanza(&[
                ("track", &folder),
                ("superTrack", "on show"),
                ("shortLabel", &cut(track, SHORT)),
                ("longLabel", &cut(&format!("Variant effects of track {track}"), LONG)),
                ("html", "description"),
            ]));
        }
        let overlay = ids.unused(&format!("{track}_{column}"));
        let kind = format!("bigWig {} {}", number(spread.least), number(spread.greatest));
        priority += 1;
        stanzas.push(stanza(&[
            ("track", &overlay),
            ("parent", &folder),
            ("container", "multiWig"),
            ("aggregate", "transparentOverlay"),
            ("showSubtrackColorOnUi", "on"),
            ("type", &kind),
            ("shortLabel", &cut(column, SHORT)),
            ("longLabel", &cut(legend, LONG)),
            ("visibility", "full"),
            ("autoScale", "on"),
            ("maxHeightPixels", "128:64:16"),
            ("priority", &priority.to_string()),
            ("html", "description"),
        ]));
        for (base, colour) in BASES.iter().zip(COLOURS) {
            let id = ids.unused(&format!("{overlay}_{base}"));
            stanzas.push(stanza(&[
                ("track", &id),
                ("parent", &overlay),
                ("type", &kind),
                ("bigDataUrl", &format!("{stem}.{base}.bw")),
                ("shortLabel", &cut(&format!("{base} {column}"), SHORT)),
                ("longLabel", &cut(&format!("Alternate {base}: {legend}"), LONG)),
                ("color", colour),
            ]));
        }
        let id = ids.unused(&format!("{overlay}_heatmap"));
        priority += 1;
        stanzas.push(stanza(&[
            ("track", &id),
            ("parent", &folder),
            ("type", "bigBed 12 +"),
            ("style", "heatmap"),
            ("bigDataUrl", &format!("{stem}.bb")),
            ("shortLabel", &cut(&format!("{column} heatmap"), SHORT)),
            ("longLabel", &cut(&format!("By alternate base: {legend}"), LONG)),
            ("visibility", "pack"),
            ("priority", &priority.to_string()),
            ("html", "description"),
        ]));
    }
    stanzas.join("\n")
}

/// Settings of one track, a line each.
fn stanza(settings: &[(&str, &str)]) -> String {
    settings.iter().flat_map(|(key, value)| [*key, " ", *value, "\n"]).collect()
}

/// At most `most` characters, in one line.
fn cut(text: &str, most: usize) -> String {
    let line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let line: Vec<char> = line.collect();
    if line.len() <= most {
        return line.into_iter().collect();
    }
    line[..most - 3].iter().copied().chain("...".chars()).collect()
}

fn number(value: f32) -> String {
    let mut text = Vec::new();
    write_score(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Names of tracks: a letter, then letters, digits and `_`, each once.
#[derive(Default)]
struct Ids(HashSet<String>);

impl Ids {
    fn unused(&mut self, name: &str) -> String {
        let plain = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
        let plain: String = plain.collect();
        let mut id = plain.clone();
        let mut number = 2;
        while !self.0.insert(id.clone()) {
            id = format!("{plain}_{number}");
            number += 1;
        }
        id
    }
}
