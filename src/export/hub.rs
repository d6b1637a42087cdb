//! A track hub of the UCSC Genome Browser, with sessions of IGV that open the same files.

mod genome;
mod page;
mod session;
mod track_db;

use std::io::Write as _;
use std::path::Path;

use self::genome::Genome;
use self::page::description;
use self::session::{igv_json, igv_xml};
use self::track_db::{Score, hub_txt, track_db};
use super::ExportError;
use super::bigbed::{self, Labels, Scale};
use super::bigwig;
use super::cell::visible;
use super::folder::{Exported, Files};
use super::position::BASES;
use super::spread::Spread;
use crate::query::QueryPlan;

/// Colours of the alternate bases in [`BASES`]' order, of the palette of Okabe and Ito, which the colour-blind can tell
/// apart.
const COLOURS: [&str; 4] = ["0,158,115", "0,114,178", "230,159,0", "204,121,167"];

/// What a hub says of itself.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Its name: letters, digits, `_`, `-`.
    pub name: String,
    /// Whom to ask about it; UCSC requires an address.
    pub email: String,
    /// What UCSC and IGV call the genome; by default what the store calls it, translated for known assemblies.
    pub genome: Option<String>,
}

/// What a hub holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubWritten {
    /// Scores of tracks.
    pub scores: usize,
    /// Variants with a score that are not SNVs, which are left out, over all scores.
    pub others: u64,
    /// Contigs that UCSC may know by another name.
    pub unnamed: usize,
}

/// Writes these score columns of plans over one track each into `folder`: `hub.txt`, `genomes.txt`, `trackDb.txt`,
/// `description.html`, `igv-session.xml` and `igv-session.json`; and for each column four bigWigs, one for each
/// alternate base, and a bigBed that UCSC shows as a heatmap.
///
/// # Errors
/// When the genome has no usable name, there is no such column, or reading or writing fails.
///
/// # Panics
/// When a plan has no track.
pub fn write_hub(
    plans: &[(QueryPlan, Vec<String>)],
    options: &HubOptions,
    folder: &Path,
) -> Result<HubWritten, ExportError> {
    let Some((first, _)) = plans.first() else { return Ok(HubWritten::default()) };
    let assembly = first.store().assembly();
    let genome = Genome::of(assembly, options.genome.as_deref())?;
    let mut written = HubWritten { unnamed: genome.unnamed, ..HubWritten::default() };
    let mut files = Files::new(folder);
    let (mut scores, mut exported) = (Vec::new(), Vec::new());
    let mut locus = None;
    for (plan, columns) in plans {
        for column in columns {
            let of = Exported::of(plan, column);
            let plan = plan.clone().with_columns(&[column])?;
            let spread = Spread::of(assembly, plan.rows())?;
            written.others += spread.others;
            locus = locus.or(spread.first);
            let stem = files.stem(&of.name());
            for (alternate, base) in BASES.iter().enumerate() {
                let mut file = files.create(format!("{stem}.{base}.bw"))?;
                bigwig::write_alternate((assembly, &genome.names), alternate, plan.rows(), &mut file)?;
                file.flush()?;
            }
            let scale = Scale::new(&spread, of.track.meaning(column).map(|meaning| meaning.direction));
            let legend = legend(&of);
            let labels = Labels { name: &visible(column), legend: &legend };
            let mut file = files.create(format!("{stem}.bb"))?;
            bigbed::write((assembly, &genome.names), &scale, &labels, plan.rows(), &mut file)?;
            file.flush()?;
            scores.push(Score { stem, spread, legend });
            exported.push(of);
        }
    }
    written.scores = scores.len();
    let of: Vec<(&Score, &Exported)> = scores.iter().zip(&exported).collect();
    files.text("hub.txt", &hub_txt(options, &genome.name))?;
    files.text("genomes.txt", &format!("genome {}\ntrackDb trackDb.txt\n", genome.name))?;
    files.text("trackDb.txt", &track_db(&of))?;
    files.text("description.html", &description(options, &genome, &of))?;
    let locus = genome.locus(locus);
    files.text("igv-session.xml", &igv_xml(&genome.name, &locus, &of))?;
    files.text("igv-session.json", &igv_json(&genome.name, &locus, &of))?;
    files.finish(&exported)?;
    Ok(written)
}

/// What a score is, in one line.
pub(super) fn legend(of: &Exported) -> String {
    let meaning = of.track.meaning(&of.column);
    let meaning = meaning.map(|meaning| format!(": {}", meaning.sentence)).unwrap_or_default();
    let target = of.target.as_ref().map(|target| format!(" on {target}")).unwrap_or_default();
    visible(&format!("{} of {}{target}{meaning}", of.column, of.track.name)).into_owned()
}
