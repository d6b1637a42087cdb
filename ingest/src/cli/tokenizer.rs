//! `vestore tokenizer train`

use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use vestore::{Output, OutputRules, check_output_folder};
use vestore_ingest::{
    Progress as _, TokenizerOptions, TrainTokenizerError, TrainedTokenizer, train_tokenizer,
};

use super::progress::Bar;
use super::{interrupt, say};

/// 150 MB at the most, and far more pairs than any vocabulary in use merges.
const KEPT_PAIRS: usize = 2_000_000;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// FASTA files: plain, BGZF or gzip
    #[arg(required = true, value_name = "FASTA")]
    inputs: Vec<PathBuf>,
    /// Tokens to end with, the 5 special ones and the 4 bases included
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(9..))]
    vocabulary: u32,
    /// Bases in memory at a time, 8 bytes each; the result does not depend on it
    #[arg(long, value_name = "BP", default_value_t = 4_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    split: u32,
    /// Longest token in bases
    #[arg(long, value_name = "BP", value_parser = clap::value_parser!(u32).range(1..))]
    max_token_length: Option<u32>,
    /// Leave lower-case bases out, as repeats are masked; contigs without any upper-case base are taken whole
    #[arg(long)]
    skip_soft_masked: bool,
    /// Folder for tokenizer.json and `tokenizer_config.json`, and meanwhile for 4 bytes a base
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Replace the two files if they exist
    #[arg(long)]
    force: bool,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = TokenizerOptions {
        vocabulary: arguments.vocabulary,
        split: arguments.split as usize,
        longest: arguments.max_token_length,
        skip_soft_masked: arguments.skip_soft_masked,
        kept_pairs: KEPT_PAIRS,
    };
    let folder = &arguments.output;
    check_output_folder(folder, &arguments.inputs)?;
    vestore::create_folder(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let rules = OutputRules { force: arguments.force, inputs: &arguments.inputs };
    let create = |name: &str| Output::create(Some(&folder.join(name)), &rules);
    let outputs = TrainedTokenizer::FILES.iter().map(|name| create(name)).collect::<Result<Vec<_>, _>>()?;
    let stop = interrupt::watch()?;
    let started = Instant::now();
    let progress = Bar::new(arguments.quiet);
    progress.begin("tokens", 0, u64::from(arguments.vocabulary));
    let told = Cell::new(0);
    let found = train_tokenizer(&arguments.inputs, &options, folder, stop.flag(), |tokens| {
        progress.advance(u64::from(tokens - told.replace(tokens)));
    });
    progress.finish();
    let trained = match found {
        Err(TrainTokenizerError::Stopped) => {
            say(format_args!("{}", TrainTokenizerError::Stopped));
            return Ok(interrupt::code());
        }
        other => other?,
    };
    for (mut output, text) in outputs.into_iter().zip(trained.files()?) {
        output.write_all(text.as_bytes())?;
        output.finish()?;
    }
    tell(&trained, arguments, started);
    Ok(ExitCode::SUCCESS)
}

fn tell(trained: &TrainedTokenizer, arguments: &Arguments, started: Instant) {
    let corpus = &trained.corpus;
    for contig in &corpus.without_mask {
        say(format_args!("contig `{contig}` has no upper-case base, so it carries no mask: taken whole"));
    }
    let masked = match corpus.masked {
        0 => String::new(),
        masked => format!(", {masked} soft-masked ones left out"),
    };
    say(format_args!(
        "{}: {} tokens from {} bases of {} contigs{masked}, {} other letters; {:.1} tokens per kb; \
         {} passes in {:.1} s",
        arguments.output.join("tokenizer.json").display(),
        trained.tokens.len(),
        corpus.bases,
        corpus.contigs,
        corpus.other,
        trained.encoded as f64 * 1000.0 / corpus.bases as f64,
        trained.passes,
        started.elapsed().as_secs_f64()
    ));
}
