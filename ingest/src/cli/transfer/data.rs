//! The coverage that a transfer learns, on the command line: tracks, windows and what is left out.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::ensure;
use vestore::Store;
use vestore_ingest::{
    BinLayout, CoverageError, CoverageInput, CoverageTargets, Folds, RandomSplit, Sequences, Split,
    TileOptions, regulatory_config, regulatory_window, source_of,
};
use vestore_schema::{Architecture, Bins, Model};

use crate::cli::reference::ReferenceArguments;
use crate::cli::shared::one_of;
use crate::cli::{Usage, plural, say};

/// The coverage to train on.
#[derive(clap::Args)]
pub(in crate::cli) struct DataArguments {
    /// Table of the new targets: tab-separated, with the columns of Borzoi's targets.txt. The files that it names are bigWig,
    /// bedGraph or BED
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) targets: PathBuf,
    /// Windows and their splits as BED: contig, start, end, and train, valid or test, or a fold that --validation and
    /// --test name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["contig", "stride"])]
    sequences: Option<PathBuf>,
    /// Cut windows from these contigs, instead of all
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    contig: Vec<String>,
    /// Cut windows from these contigs for validation, or with --sequences take these folds
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    validation: Vec<String>,
    /// Cut windows from these contigs for testing, or with --sequences take these folds; what neither names, a tenth of
    /// the windows each, is drawn
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    test: Vec<String>,
    /// Window in bases; 524288, or 196608 of Enformer, by default
    #[arg(long, value_name = "BP")]
    window: Option<u32>,
    /// Bases from one window to the next; a window by default
    #[arg(long, value_name = "BP")]
    stride: Option<u32>,
    /// Compare the expression of these genes on held-out windows: GTF, or the name of a table of the store
    #[arg(long, value_name = "GENES")]
    pub(in crate::cli) genes: Option<PathBuf>,
    /// Leave out bins that touch these regions
    #[arg(long, value_name = "FILE")]
    blacklist: Option<PathBuf>,
    /// Learn the bins in the middle of the window, as many as config.json says, or all but 16 on each side
    #[arg(long, default_value = "center", value_parser = one_of(&Bins::ALL, Bins::as_str))]
    pub(in crate::cli) bins: Bins,
    #[command(flatten)]
    reference: ReferenceArguments,
}

/// The coverage that the options name.
pub(in crate::cli) struct Collected<'a> {
    targets: CoverageTargets,
    sequences: Sequences,
    layout: BinLayout,
    blacklist: Option<&'a Path>,
}

impl Collected<'_> {
    pub(in crate::cli) fn input<'a>(&'a self, store: &'a Store) -> CoverageInput<'a> {
        CoverageInput {
            targets: &self.targets,
            sequences: &self.sequences,
            layout: self.layout,
            blacklist: self.blacklist,
            assembly: store.assembly(),
        }
    }
}

impl DataArguments {
    /// The store that the model is in.
    pub(in crate::cli) fn open(&self, store: &Path) -> anyhow::Result<Store> {
        self.reference.open(store)
    }

    /// The files that are read.
    pub(in crate::cli) fn inputs(&self) -> Vec<PathBuf> {
        let given = [Some(&self.targets), self.sequences.as_ref(), self.blacklist.as_ref()];
        given.into_iter().flatten().cloned().collect()
    }

    /// Reads the table of targets and chooses the windows for a model; `None` when it was interrupted.
    pub(in crate::cli) fn read(
        &self,
        store: &Store,
        parent: &Model,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Option<Collected<'_>>> {
        ensure!(
            matches!(parent.architecture, Architecture::Regulatory(_)),
            "model `{}` cannot be transferred: it is of the family {}; expected a regulatory model",
            parent.name,
            parent.family
        );
        let config = regulatory_config(&source_of(store, parent))?;
        let window = self.window.unwrap_or_else(|| regulatory_window(&config));
        config.check_window(window).map_err(|expected| {
            Usage(format!("invalid window {window} of model `{}`; {expected}", parent.name))
        })?;
        let targets = CoverageTargets::read(&self.targets)?;
        let Some(sequences) = self.sequences(window, store, interrupted)? else { return Ok(None) };
        let count = |split| sequences.of(split).count() as u64;
        say(format_args!(
            "{}, {}, {} for validation, {} for testing{}",
            plural(targets.count() as u64, "target"),
            plural(count(Split::Training), "window"),
            count(Split::Validation),
            count(Split::Test),
            left_out(&sequences)
        ));
        let (first, count) = config.crop(window, self.bins);
        let layout = BinLayout { resolution: config.bin(), first, count };
        Ok(Some(Collected { targets, sequences, layout, blacklist: self.blacklist.as_deref() }))
    }

    /// The windows that are listed, or laid; `None` when it was interrupted.
    fn sequences(
        &self,
        window: u32,
        store: &Store,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Option<Sequences>> {
        if let Some(file) = &self.sequences {
            let folds = Folds { validation: self.validation.clone(), test: self.test.clone() };
            return Ok(Some(Sequences::read_bed(file, window, &folds, store.assembly())?));
        }
        let random = match (self.validation.is_empty(), self.test.is_empty()) {
            (true, true) => Some(RandomSplit { validation: 0.1, test: 0.1, seed: SPLIT_SEED }),
            (true, false) => Some(RandomSplit { validation: 0.1, test: 0.0, seed: SPLIT_SEED }),
            (false, _) => None,
        };
        let options = TileOptions {
            window,
            stride: self.stride.unwrap_or(window),
            contigs: self.contig.clone(),
            validation: self.validation.clone(),
            test: self.test.clone(),
            random,
        };
        match Sequences::tile(&options, store.assembly(), &mut store.open_reference()?, interrupted) {
            Err(CoverageError::Interrupted) => Ok(None),
            tiled => Ok(Some(tiled?)),
        }
    }
}

/// Of the stretches that are drawn for validation and testing.
const SPLIT_SEED: u64 = 0x5eed;

/// Windows that were not taken, by reason.
fn left_out(sequences: &Sequences) -> String {
    let reasons = [
        (sequences.unknown, "with more than half N"),
        (sequences.across, "across two splits"),
        (sequences.short, "shorter than a window"),
    ];
    let shown: Vec<String> =
        reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    if shown.is_empty() { String::new() } else { format!("; left out: {}", shown.join(", ")) }
}
