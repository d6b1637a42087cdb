//! `vestore annotate`

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use noodles::bgzf;
use vestore::{FileForm, FileFormat, Output, OutputRules, QueryPlan, Request, VariantForm, annotate};

use super::output::inputs;
use super::reference_arguments::{RefMismatchArguments, ReferenceArguments};
use super::shared::{Usage, plural, say, warn};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    /// VCF or BCF to annotate, plain or compressed, in any order; `-` reads stdin
    #[arg(value_name = "IN.vcf[.gz]|IN.bcf")]
    input: PathBuf,
    /// Annotated file: `.vcf`, `.vcf.gz`, `.vcf.bgz` or `.bcf`; `-` writes uncompressed to stdout
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Add only the scores of this track; may be repeated
    #[arg(long, value_name = "NAME")]
    track: Vec<String>,
    /// Overwrite OUT if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let name = arguments.output.to_string_lossy();
    let form = FileForm::of(&arguments.output)?;
    let wanted = match form.format {
        _ if name == "-" || name.starts_with("/dev/") => None,
        Some(FileFormat::Vcf) => Some(VariantForm::Vcf),
        Some(FileFormat::Bcf) => Some(VariantForm::Bcf),
        _ => {
            return Err(Usage(format!(
                "unknown extension: `{name}`; expected .vcf, .vcf.gz, .vcf.bgz or .bcf"
            ))
            .into());
        }
    };
    let store = arguments.reference.open(&arguments.store)?;
    let request = Request { tracks: arguments.track.clone(), ..Request::default() };
    let plan = QueryPlan::new(&store, &request)?;
    if let Some(remark) = plan.remark() {
        say(format_args!("{remark}"));
    }
    let inputs = inputs(&store, [Some(arguments.input.as_path())]);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let policy = arguments.ref_mismatch.ref_mismatch;
    let mut output = Output::create(Some(&arguments.output), &rules)?;
    let annotated = if form.compressed || wanted == Some(VariantForm::Bcf) {
        let workers = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let mut zipped = bgzf::io::MultithreadedWriter::with_worker_count(workers, output);
        let annotated = annotate(&plan, &arguments.input, wanted, policy, &mut zipped)?;
        output = zipped.finish()?;
        annotated
    } else {
        annotate(&plan, &arguments.input, wanted, policy, &mut output)?
    };
    output.finish()?;
    warn(&annotated.warnings);
    say(format_args!(
        "{}, {}, of which {} have a row",
        plural(annotated.records, "record"),
        plural(annotated.alleles, "alternate allele"),
        annotated.found
    ));
    if annotated.unknown_contigs > 0 {
        say(format_args!(
            "{} on contigs that are not in the reference",
            plural(annotated.unknown_contigs, "record")
        ));
    }
    Ok(ExitCode::SUCCESS)
}
