//! Scores as INFO fields of VCF.

use std::collections::HashSet;
use std::fmt::Write as _;

use vestore_schema::{Assembly, Track};

use super::cell::visible;

/// One score column of one track as an INFO field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InfoField {
    /// `<track>_<column>` with the characters that VCF allows.
    pub(crate) id: String,
    /// Index of the track.
    pub(crate) track: usize,
    /// Name of the column.
    pub(crate) column: String,
    /// What it is, for people.
    pub(crate) description: String,
}

impl InfoField {
    /// The fields of the score columns of `tracks`, in order, each with an id of its own.
    pub(crate) fn of(tracks: &[Track]) -> Vec<Self> {
        let mut taken = HashSet::new();
        let mut fields = Vec::new();
        for (index, track) in tracks.iter().enumerate() {
            for (column, _) in track.scores() {
                fields.push(Self {
                    id: unique(&mut taken, &track.name, &column),
                    track: index,
                    description: describe(track, &column),
                    column,
                });
            }
        }
        fields
    }

    /// Its header line, with its end.
    pub(crate) fn header(&self) -> String {
        header(&self.id, "A", "Float", &self.description)
    }
}

/// A header line of an INFO field, with its end.
pub(crate) fn header(id: &str, number: &str, kind: &str, description: &str) -> String {
    let text = visible(description).replace('\\', "\\\\").replace('"', "\\\"");
    format!("##INFO=<ID={id},Number={number},Type={kind},Description=\"{text}\">\n")
}

/// The ids of the status fields of `tracks`.
pub(crate) fn status_ids(tracks: &[Track], fields: &[InfoField]) -> Vec<String> {
    let mut taken: HashSet<String> = fields.iter().map(|field| field.id.clone()).collect();
    tracks.iter().map(|track| unique(&mut taken, &track.name, "status")).collect()
}

/// The contig lines of a header.
pub(crate) fn contig_lines(assembly: &Assembly) -> String {
    let mut text = String::new();
    for contig in &assembly.contigs {
        writeln!(text, "##contig=<ID={},length={}>", visible(&contig.name), contig.length)
            .expect("writing to a string; this is a bug");
    }
    text
}

fn describe(track: &Track, column: &str) -> String {
    let source = match &track.external {
        Some(external) => {
            format!("imported from a file of SHA-256 {}{}", external.source, track.precision_text())
        }
        None => {
            format!("model {} (id {}), recipe {}", track.model, track.model_id.short(), track.recipe_text())
        }
    };
    let meaning = match (track.calibrated(column), track.meaning(column)) {
        (Some((calibration, _)), Some(meaning)) => format!("; {}: {}", meaning.sentence, calibration.text()),
        (_, Some(meaning)) => format!("; {}: {}", meaning.direction.text(), meaning.sentence),
        (_, None) => String::new(),
    };
    format!("{column} of track {} (id {}), {source}{meaning}", track.name, track.id)
}

/// `<track>_<column>`, numbered where tracks differ only in characters that VCF does not allow.
fn unique(taken: &mut HashSet<String>, track: &str, column: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    let plain: String = format!("{track}_{column}")
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '_' })
        .collect();
    let mut id = plain.clone();
    let mut number = 2;
    while !taken.insert(id.clone()) {
        id = format!("{plain}_{number}");
        number += 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use vestore_schema::{Digest, Dtype, Recipe, Strands};

    use super::*;

    fn track(name: &str) -> Track {
        let recipe = Recipe {
            scores: vec!["llr-grid".to_owned()],
            window: 600,
            strands: Strands::Both,
            dtype: Dtype::F32,
            precision: None,
            part: vestore_schema::AblatedPart::default(),
            splice: None,
            regulatory: None,
        };
        Track::new(name, "m", Digest::of(b"m"), recipe, vec!["llr_grid".to_owned()]).unwrap()
    }

    #[test]
    fn ids_are_allowed_and_unique_and_descriptions_name_the_track() {
        let tracks = [track("nt-v2.llr+d"), track("nt_v2.llr_d")];
        let fields = InfoField::of(&tracks);
        assert_eq!(fields[0].id, "nt_v2.llr_d_llr_grid");
        assert_eq!(fields[1].id, "nt_v2.llr_d_llr_grid_2");
        let line = fields[0].header();
        assert!(line.starts_with("##INFO=<ID=nt_v2.llr_d_llr_grid,Number=A,Type=Float,Description=\""));
        assert!(line.contains(&tracks[0].id.to_string()) && line.contains("nt-v2.llr+d"), "{line}");
        assert!(line.contains("window 600 bp"), "{line}");
    }

    #[test]
    fn quotes_in_descriptions_are_escaped() {
        assert_eq!(
            header("a", "1", "String", r#"a "b" \c"#),
            "##INFO=<ID=a,Number=1,Type=String,Description=\"a \\\"b\\\" \\\\c\">\n"
        );
    }
}
