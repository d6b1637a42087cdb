//! `vestore query`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use vestore::{
    Answer, EffectsError, FileForm, FileFormat, Filter, FormError, Format, Output, OutputError, OutputRules,
    Places, QueryPlan, Question, QuestionError, SortKey, Store, StoreError, open_variants, write_rows,
    write_vcf,
};
use vestore_schema::Table;

use super::ReadArguments;
use super::output::{Text, inputs};
use super::places::tell;
use super::reference_arguments::{RefMismatchArguments, ReferenceArguments};
use super::shared::misplaced;
use super::shared::{Usage, plural, print, say};

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    #[command(flatten)]
    reading: ReadArguments,
    /// Regions such as `17:43,044,295-43,125,483` (1-based inclusive), variants such as `17-43044295-G-A`, genomic HGVS
    /// names (`NC_000017.11:g.43045712T>C`), rsIDs (`rs80357713`) or genes (`BRCA1`); all rows without any
    #[arg(value_name = "REGION|VARIANT")]
    places: Vec<String>,
    /// Read regions from a BED file (0-based half-open)
    #[arg(long, value_name = "FILE")]
    bed: Option<PathBuf>,
    /// Read variants from a VCF, BCF, TSV, CSV or Parquet file
    #[arg(long, value_name = "FILE")]
    variants: Option<PathBuf>,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Print only tracks of this model; may be repeated
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// Print only this track; may be repeated
    #[arg(long, value_name = "NAME")]
    track: Vec<String>,
    /// Print only rows that match a condition, such as `llr < -3 and cosine > 0.1`: columns compared with numbers or
    /// quoted text, combined with and, or, not, parentheses and `is null`. Comparisons with missing values are false;
    /// quote other column names with backticks
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
    /// Print one row per variant, with columns `<track>.<column>` and `<track>.status`
    #[arg(long)]
    wide: bool,
    /// Print at most this many rows
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print the number of rows only
    #[arg(long)]
    count: bool,
    /// Print pooled embeddings instead of scores
    #[arg(long)]
    embeddings: bool,
    /// Print the change of each score without each layer, instead of scores
    #[arg(long, conflicts_with = "embeddings")]
    ablation: bool,
    /// Print what each variant does in each gene, instead of scores; of a regulatory model, a row per variant, gene and
    /// target of the gene's strand
    #[arg(long, conflicts_with_all = ["embeddings", "ablation"])]
    gene_effects: bool,
    /// Print what each variant does to each target of a regulatory model, instead of scores: one row per variant and
    /// target, with a column per kind of effect; a variant without effects has one row, without a target
    #[arg(long, conflicts_with_all = ["embeddings", "ablation", "gene_effects", "wide"])]
    effects: bool,
    /// Print only targets whose name matches, where `*` matches any letters and `?` one; may be repeated
    #[arg(long, value_name = "GLOB")]
    target: Vec<String>,
    /// Print only the N targets of each variant with the largest absolute effect, in the targets' order. It is the
    /// largest over the printed kinds other than ref and alt; of equal ones the first target counts. A condition
    /// (--where) is applied before
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Read and print only these columns, in this order, such as `llr` or, of effects, `log_sum,js`. Variant, model,
    /// track and status come first unless one of them is named
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Sort by these columns instead of by variant; `-llr` is from the largest on. Rows without a value come last. At
    /// most 1 GB of rows are sorted; with --limit only those that are printed count
    #[arg(long, value_name = "[-]COLUMN,…", value_delimiter = ',', allow_hyphen_values = true)]
    sort: Vec<SortKey>,
    /// Write in this format; by default the extension of -o decides, else a table
    #[arg(long, value_enum)]
    format: Option<QueryFormat>,
    /// Write to this file instead of stdout. Its extension selects the format; `.gz` and `.bgz` compress text (BGZF)
    #[arg(short, value_name = "FILE", conflicts_with_all = ["count", "plan"])]
    output: Option<PathBuf>,
    /// Overwrite the file of -o if it exists
    #[arg(long)]
    force: bool,
    /// Print what would be read; read nothing
    #[arg(long)]
    plan: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum QueryFormat {
    Table,
    Tsv,
    /// Quoted as in RFC 4180
    Csv,
    Json,
    Arrow,
    Parquet,
    /// A spreadsheet of at most 1,048,575 rows
    Xlsx,
    /// One record per variant, an INFO field per track and score
    Vcf,
}

impl QueryFormat {
    fn named(format: FileFormat) -> Option<Self> {
        Some(match format {
            FileFormat::Tsv => Self::Tsv,
            FileFormat::Csv => Self::Csv,
            FileFormat::Json => Self::Json,
            FileFormat::Arrow => Self::Arrow,
            FileFormat::Parquet => Self::Parquet,
            FileFormat::Vcf => Self::Vcf,
            FileFormat::Xlsx => Self::Xlsx,
            FileFormat::Bcf | FileFormat::Bedgraph | FileFormat::Bigwig | FileFormat::Bigbed => return None,
        })
    }

    fn file_format(self) -> Option<FileFormat> {
        Some(match self {
            Self::Table => return None,
            Self::Tsv => FileFormat::Tsv,
            Self::Csv => FileFormat::Csv,
            Self::Json => FileFormat::Json,
            Self::Arrow => FileFormat::Arrow,
            Self::Parquet => FileFormat::Parquet,
            Self::Vcf => FileFormat::Vcf,
            Self::Xlsx => FileFormat::Xlsx,
        })
    }
}

impl QueryFormat {
    /// Refuses a terminal where the format is not text.
    pub(super) fn refuse_terminal(self, output: &Output) -> Result<(), OutputError> {
        match self {
            Self::Arrow => output.refuse_terminal("Arrow"),
            Self::Parquet => output.refuse_terminal("Parquet"),
            Self::Xlsx => output.refuse_terminal("a spreadsheet"),
            Self::Table | Self::Tsv | Self::Csv | Self::Json | Self::Vcf => Ok(()),
        }
    }
}

/// The format that was `asked` for by option or by the name of the output, and whether it is compressed.
pub(super) fn form(asked: Option<QueryFormat>, output: Option<&Path>) -> anyhow::Result<(QueryFormat, bool)> {
    let path = output.unwrap_or(Path::new("-"));
    let form = match asked.and_then(QueryFormat::file_format) {
        Some(asked) => FileForm::with_format(path, asked)?,
        None => FileForm::of(path)?,
    };
    match (asked, form.format) {
        (Some(QueryFormat::Table), Some(named)) => {
            Err(FormError::Contradiction { path: path.into(), named, asked: "table".to_owned() }.into())
        }
        (Some(asked), _) => Ok((asked, form.compressed)),
        (None, named) => match named.and_then(QueryFormat::named) {
            Some(format) => Ok((format, form.compressed)),
            None if path.extension().is_none() => Ok((QueryFormat::Table, form.compressed)),
            None => Err(FormError::unknown(path, |format| QueryFormat::named(format).is_some()).into()),
        },
    }
}

impl Arguments {
    /// Whose rows are printed.
    fn table(&self) -> Table {
        let asked = [
            (self.embeddings, Table::Embeddings),
            (self.ablation, Table::Ablation),
            (self.gene_effects, Table::GeneEffects),
            (self.effects, Table::Effects),
        ];
        asked.into_iter().find_map(|(asked, table)| asked.then_some(table)).unwrap_or_default()
    }
}

impl Arguments {
    /// What is asked, and remarks on the files that were read for it.
    fn question(&self, store: &Store, wide: bool) -> anyhow::Result<Question> {
        let mut places = Places::default();
        for text in &self.places {
            places.add(store, text).map_err(misplaced)?;
        }
        if let Some(bed) = &self.bed {
            tell(&places.add_bed(store, bed).map_err(misplaced)?);
        }
        if let Some(path) = &self.variants {
            let source = open_variants(path)?;
            tell(&places.add_file(store, source, self.ref_mismatch.ref_mismatch).map_err(misplaced)?);
        }
        Ok(Question {
            places,
            models: self.model.clone(),
            tracks: self.track.clone(),
            table: self.table(),
            filter: self.condition.as_deref().map(Filter::parse).transpose()?,
            wide,
            columns: self.columns.clone(),
            targets: self.target.clone(),
            top: self.top,
            sort: self.sort.clone(),
            limit: self.limit,
        })
    }
}

/// What was asked for and is not there is a mistake of the command line.
pub(super) fn told(error: EffectsError) -> anyhow::Error {
    match error {
        EffectsError::Store(error) => error.into(),
        EffectsError::Filter(error) => error.into(),
        error => Usage(error.to_string()).into(),
    }
}

pub(super) fn unanswered(error: QuestionError) -> anyhow::Error {
    match error {
        QuestionError::Store(error) => error.into(),
        QuestionError::Filter(error) => error.into(),
        QuestionError::Effects(error) => told(error),
        error @ QuestionError::NeedsReference { .. } => error.into(),
        error => Usage(error.to_string()).into(),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (format, compressed) = form(arguments.format, arguments.output.as_deref())?;
    let store = arguments.reference.apply(arguments.reading.open(&arguments.store)?);
    let inputs = inputs(&store, [arguments.bed.as_deref(), arguments.variants.as_deref()]);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let output = Output::create(arguments.output.as_deref(), &rules)?;
    if !arguments.count && !arguments.plan {
        format.refuse_terminal(&output)?;
    }
    let is_vcf = matches!(format, QueryFormat::Vcf);
    if is_vcf && !(arguments.columns.is_empty() && arguments.sort.is_empty()) {
        let what =
            "VCF has all scores, in the order of the reference; leave --columns and --sort, or --format vcf";
        return Err(Usage(what.to_owned()).into());
    }
    let question = arguments.question(&store, arguments.wide || is_vcf)?;
    let filtered = question.filter.is_some();
    let answer = Answer::new(&store, question).map_err(unanswered)?;
    if let Some(remark) = answer.plan().remark() {
        say(format_args!("{remark}"));
    }
    if arguments.plan {
        return describe(answer.plan());
    }
    let mut unseen = answer.unseen();
    if arguments.count && unseen.count() == 0 {
        print(format_args!("{}", answer.count().map_err(unanswered)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = 0;
    let batches = answer.rows(|batch| unseen.see(batch)).map_err(unanswered)?;
    let batches = batches.inspect(|batch| rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64));
    if arguments.count {
        let mut batches = batches;
        batches.try_for_each(|batch| batch.map(drop))?;
        print(format_args!("{rows}"))?;
    } else {
        let mut text = Text::new(output, compressed);
        if is_vcf {
            write_vcf(answer.plan().store().assembly(), &answer.plan().tracks, batches, &mut text)?;
            text.finish()?;
        } else {
            write_as(format, arguments.output.as_deref(), answer.schema(), batches, text)?;
        }
    }
    // Of variants whose genes are on the other strand of the chosen targets there are no lines either.
    let looked_for_all = !filtered && arguments.target.is_empty() && answer.shows_all(rows);
    if looked_for_all && unseen.count() > 0 {
        let verb = if unseen.count() == 1 { "has" } else { "have" };
        say(format_args!("{} {verb} no score", plural(unseen.count() as u64, "requested variant")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes rows of `schema` in a format other than VCF to `output`, which is that of `path`.
pub(super) fn write_as(
    format: QueryFormat,
    path: Option<&Path>,
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    mut output: Text,
) -> anyhow::Result<()> {
    let format = match (format, path) {
        (QueryFormat::Table, None) => Format::Table { width: terminal_width() },
        (QueryFormat::Table | QueryFormat::Vcf, _) => Format::Table { width: None },
        (QueryFormat::Tsv, _) => Format::Tsv,
        (QueryFormat::Csv, _) => Format::Csv,
        (QueryFormat::Json, _) => Format::Json,
        (QueryFormat::Arrow, Some(path)) if path.as_os_str() != "-" => Format::ArrowFile,
        (QueryFormat::Arrow, _) => Format::ArrowStream,
        (QueryFormat::Parquet, _) => Format::Parquet,
        (QueryFormat::Xlsx, _) => Format::Xlsx,
    };
    write_rows(format, schema, rows, &mut output)?;
    Ok(output.finish()?)
}

/// The columns of the terminal that stdout is; none where it is not one.
fn terminal_width() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| columns.into())
}

/// Prints which segments a query would read.
fn describe(plan: &QueryPlan) -> anyhow::Result<ExitCode> {
    let assembly = plan.store().assembly();
    let (mut segments, mut bytes) = (0, 0);
    for part in &plan.parts {
        let contig = &assembly.contig(part.contig).name;
        print(format_args!("contig {contig}: {}", plural(part.ranges.len() as u64, "range")))?;
        for (track, segment) in &part.segments {
            segments += 1;
            bytes += segment.bytes;
            print(format_args!(
                "  {}  {} at {}-{}  {}",
                plan.tracks[*track].name,
                plural(segment.rows, "row"),
                segment.first.one_based(),
                segment.last.one_based(),
                segment.path()
            ))?;
        }
    }
    print(format_args!(
        "{} of {}; only pages that can hold an answer are read",
        plural(segments, "segment"),
        plural(bytes, "byte")
    ))?;
    Ok(ExitCode::SUCCESS)
}
