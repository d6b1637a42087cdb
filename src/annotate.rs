//! Adds scores to VCF and BCF files. What is not added stays as it was, byte for byte.

mod bcf;
mod chunk;
mod lookup;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use memchr::memmem::Finder;
use thiserror::Error;

use self::chunk::Chunk;
use self::lookup::Lookup;
use crate::export::{InfoField, write_score};
use crate::query::QueryPlan;
use crate::reference::{Reference, ReferenceError};
use crate::store::StoreError;
use crate::variants::{
    BYTE_ORDER_MARK, Contigs, HeaderLine, Input, InputError, PlanError, RefCheck, RefMismatch,
    RefMismatchError, VariantHeader,
};

/// Bytes of lines that are read together.
const CHUNK: usize = 8 << 20;
/// Bytes that the alleles of lines that are looked up together may take, beyond those of one record.
const ALLELE_BYTES: usize = 512 << 20;

/// Why a file could not be annotated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnnotateError {
    /// The file cannot be read or parsed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read, which normalizing needs.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No record is on a contig of the reference.
    #[error(transparent)]
    Contigs(Box<PlanError>),
    /// Reference alleles are not what the reference has.
    #[error(transparent)]
    RefMismatch(#[from] RefMismatchError),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// The header declares a field that would be added.
    #[error(
        "{} already has INFO field `{id}`; remove it with `bcftools annotate -x INFO/{id}`, or choose other \
         tracks",
        path.display()
    )]
    FieldTaken {
        /// The file.
        path: PathBuf,
        /// The field.
        id: String,
    },
    /// A record has a field that would be added, and the header does not declare it.
    #[error(
        "{}, {unit} {number}: INFO already has `{id}`, which the header does not declare; remove it with \
         `bcftools annotate -x INFO/{id}`, or choose other tracks",
        path.display()
    )]
    KeyTaken {
        /// The file.
        path: PathBuf,
        /// `line` or `record`.
        unit: &'static str,
        /// 1-based.
        number: u64,
        /// The field.
        id: String,
    },
    /// The output is to be VCF and the input is BCF, or the other way round.
    #[error(
        "{} is {found}, and the output is to be {wanted}; annotate to {found} and convert that with `bcftools \
         view`, or convert the input",
        path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: VariantForm,
        /// What the output is to be.
        wanted: VariantForm,
    },
}

/// How variants are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariantForm {
    /// As text.
    Vcf,
    /// As BCF version 2.
    Bcf,
}

impl fmt::Display for VariantForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vcf => "VCF",
            Self::Bcf => "BCF",
        })
    }
}

/// What became of the records of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotated {
    /// Records read.
    pub records: u64,
    /// Alternate alleles of them.
    pub alleles: u64,
    /// Alternate alleles with a row in one of the tracks.
    pub found: u64,
    /// Records on contigs that the reference lacks.
    pub unknown_contigs: u64,
    /// What people should know even where it is not an error, such as reference alleles that differ.
    pub warnings: Vec<String>,
}

/// Copies the VCF or BCF `input` (plain, BGZF or gzip; `-` is standard input) to `out`, uncompressed and in the
/// same form, which must be `wanted` where that is said. Records of VCF that end after ALT or later get the columns up
/// to INFO. Added is an INFO field per track and score column of
/// `plan`, a plan of everything: a value for each alternate allele, `.` where there is none. Alleles are
/// normalized to be looked up and written as they were. Records may come in any order; sorted ones are answered
/// faster. Reference alleles are compared with the reference, where it is there, and judged chunk by chunk: what was
/// written before an error must be thrown away.
///
/// # Errors
/// When the file cannot be read, is in another form, declares one of the fields already, or has records and
/// none on a known contig; when its reference alleles are not acceptable under `policy`; when the store, the reference or the output fails.
pub fn annotate<W: Write + Send>(
    plan: &QueryPlan,
    input: &Path,
    wanted: Option<VariantForm>,
    policy: RefMismatch,
    out: W,
) -> Result<Annotated, AnnotateError> {
    annotate_within(ALLELE_BYTES, plan, input, wanted, policy, out)
}

fn annotate_within<W: Write + Send>(
    allele_bytes: usize,
    plan: &QueryPlan,
    input: &Path,
    wanted: Option<VariantForm>,
    policy: RefMismatch,
    mut out: W,
) -> Result<Annotated, AnnotateError> {
    let mut source = Input::open(input)?;
    let marked = source.was_marked();
    let found = if source.begins_with(b"BCF")? { VariantForm::Bcf } else { VariantForm::Vcf };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        return Err(AnnotateError::Form { path: input.into(), found, wanted });
    }
    let fields = InfoField::of(&plan.tracks);
    let mut header = None;
    if found == VariantForm::Bcf {
        let (magic, text) = source.read_bcf_header()?;
        source.count_records();
        header = Some(bcf::Header::declare(input, &magic, &text, &fields)?);
    }
    // Reading, looking up and writing each have a thread; one chunk waits between them.
    let (to_lookup, from_reader) = sync_channel::<Result<Vec<u8>, InputError>>(1);
    let (to_writer, from_lookup) = sync_channel::<Vec<u8>>(1);
    let (to_reader, empty_lines) = sync_channel::<Vec<u8>>(4);
    thread::scope(|scope| {
        scope.spawn(move || read(source, found, &to_lookup, &empty_lines));
        let writer = scope.spawn(move || -> io::Result<()> {
            for text in from_lookup {
                out.write_all(&text)?;
            }
            out.flush()
        });
        let check = RefCheck::new(policy, input);
        let work = Work { plan, path: input, fields: &fields, bcf: header.as_ref(), marked, allele_bytes };
        let annotated = join(&work, check, &from_reader, &to_writer, &to_reader);
        drop(to_writer);
        drop(from_reader);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A writer that failed is why nothing more could be handed to it.
        written?;
        annotated
    })
}

fn read(
    mut source: Input,
    form: VariantForm,
    lines_out: &SyncSender<Result<Vec<u8>, InputError>>,
    used: &Receiver<Vec<u8>>,
) {
    loop {
        let mut lines = used.try_recv().unwrap_or_default();
        let read = match form {
            VariantForm::Vcf => source.read_lines(&mut lines, CHUNK),
            VariantForm::Bcf => source.read_bcf_records(&mut lines, CHUNK),
        };
        let sent = match read {
            Ok(false) => return,
            Ok(true) => lines_out.send(Ok(lines)),
            Err(error) => lines_out.send(Err(error)),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// What is annotated with what.
struct Work<'a> {
    plan: &'a QueryPlan,
    path: &'a Path,
    fields: &'a [InfoField],
    /// Of BCF, its header.
    bcf: Option<&'a bcf::Header>,
    /// Whether there was a byte order mark.
    marked: bool,
    /// Bytes that the alleles of lines that are looked up together may take.
    allele_bytes: usize,
}

/// Looks up the lines, or the records of BCF, of `chunks` and hands them on annotated.
fn join(
    work: &Work<'_>,
    mut check: RefCheck,
    chunks: &Receiver<Result<Vec<u8>, InputError>>,
    out: &SyncSender<Vec<u8>>,
    used: &SyncSender<Vec<u8>>,
) -> Result<Annotated, AnnotateError> {
    let Work { plan, path, fields, bcf, marked, allele_bytes } = *work;
    let keys: Vec<Vec<u8>> = fields.iter().map(|field| format!("{}=", field.id).into_bytes()).collect();
    let mut contigs = Contigs::new(plan.store().assembly());
    let mut reference = LazyReference { plan, opened: None, missing: None };
    let mut lookup = Lookup::new(plan, fields);
    let mut chunk = Chunk::new(allele_bytes, fields.len());
    let mut annotated = Annotated::default();
    let (mut in_header, mut lines_before) = (true, 0);
    let mut declared = VariantHeader::default();
    let before = bcf.map_or(if marked { BYTE_ORDER_MARK } else { b"" }, |header| &header.bytes);
    if !before.is_empty() && out.send(before.to_vec()).is_err() {
        return Ok(annotated); // The writer says why.
    }
    if let Some(header) = bcf {
        annotated.warnings = declare(path, &header.declared, &mut contigs, &mut reference)?;
    }
    let finders: Vec<Finder<'_>> = fields.iter().map(|field| Finder::new(&field.id)).collect();
    for lines in chunks {
        let lines = lines?;
        let mut text = Vec::with_capacity(lines.len() + lines.len() / 4);
        let mut from = 0;
        let newlines = |part: &[u8]| memchr::memchr_iter(b'\n', part).count() as u64;
        if bcf.is_none() && in_header {
            from = header(path, &lines, fields, &mut declared, &mut text)?;
            in_header = from == lines.len();
            if !in_header {
                annotated.warnings = declare(path, &declared, &mut contigs, &mut reference)?;
            }
        }
        loop {
            let end = if let Some(header) = bcf {
                let before = annotated.records;
                let end = chunk.parse_bcf(path, &lines, from, before, header, &mut contigs)?;
                chunk.settle(&mut reference, &mut check, |_, record| before + u64::from(record) + 1)?;
                end
            } else {
                let end = chunk.parse(path, &lines, from, lines_before, &mut contigs)?;
                for record in &chunk.records {
                    let info = &lines[record.info.clone()];
                    if let Some(field) = finders.iter().position(|finder| has_field(info, finder)) {
                        let number = lines_before + newlines(&lines[..record.info.start]) + 1;
                        let id = fields[field].id.clone();
                        return Err(AnnotateError::KeyTaken { path: path.into(), unit: "line", number, id });
                    }
                }
                chunk.settle(&mut reference, &mut check, |chunk, record| {
                    lines_before + newlines(&lines[..chunk.records[record as usize].info.start]) + 1
                })?;
                end
            };
            chunk.sort();
            lookup.fill(&mut chunk)?;
            annotated.records += chunk.records.len() as u64;
            annotated.alleles += u64::from(chunk.alleles);
            annotated.found += chunk.found();
            annotated.unknown_contigs += chunk.unknown_contigs;
            match bcf {
                Some(header) => bcf::splice(&chunk, &lines[..end], from, header, &mut text),
                None => splice(&chunk, &lines[..end], from, &keys, &mut text),
            }
            if out.send(std::mem::take(&mut text)).is_err() {
                // The writer says why.
                return Ok(annotated);
            }
            from = end;
            if from == lines.len() {
                break;
            }
        }
        if bcf.is_none() {
            lines_before += newlines(&lines);
        }
        let _ = used.try_send(lines);
    }
    contigs.check_any_known(path).map_err(|error| AnnotateError::Contigs(Box::new(error)))?;
    // Of the whole file: its first chunk may differ from the rest.
    check.finish()?;
    annotated.warnings.extend(check.warning().into_iter().chain(check.beyond_warning()));
    annotated.warnings.extend(reference.missing);
    Ok(annotated)
}

/// Takes in what a header says of contigs; gives what is to be said about it.
fn declare(
    path: &Path,
    header: &VariantHeader,
    contigs: &mut Contigs<'_>,
    reference: &mut LazyReference<'_>,
) -> Result<Vec<String>, AnnotateError> {
    let reference = reference.compared_with(header.contigs.is_empty())?;
    Ok(contigs.declare(path, &header.contigs, reference)?)
}

/// The reference, opened when it is first needed.
struct LazyReference<'a> {
    plan: &'a QueryPlan,
    opened: Option<Reference>,
    /// Why nothing can be compared with it, as a warning.
    missing: Option<String>,
}

impl LazyReference<'_> {
    /// To normalize alleles, which cannot be done without.
    fn get(&mut self) -> Result<&mut Reference, ReferenceError> {
        match &mut self.opened {
            Some(reference) => Ok(reference),
            none => Ok(none.insert(self.plan.store().open_reference()?)),
        }
    }

    /// To compare reference alleles, which is left out where there is no reference, or `nothing` to compare.
    fn compared_with(&mut self, nothing: bool) -> Result<Option<&mut Reference>, ReferenceError> {
        if nothing || self.missing.is_some() {
            return Ok(None);
        }
        if self.opened.is_none() {
            match self.plan.store().open_reference() {
                Err(error @ (ReferenceError::Missing { .. } | ReferenceError::Unpublished { .. })) => {
                    self.missing = Some(format!("reference alleles were not checked: {error}"));
                    return Ok(None);
                }
                opened => self.opened = Some(opened?),
            }
        }
        Ok(self.opened.as_mut())
    }

    fn contig_name(&self, contig: u32) -> &str {
        &self.plan.store().assembly().contig(contig).name
    }

    /// In bases.
    fn contig_length(&self, contig: u32) -> u64 {
        self.plan.store().assembly().contig(contig).length.into()
    }
}

/// Copies the header lines that `lines` begin with, the fields declared before the last of them; gives
/// their length.
fn header(
    path: &Path,
    lines: &[u8],
    fields: &[InfoField],
    found: &mut VariantHeader,
    text: &mut Vec<u8>,
) -> Result<usize, AnnotateError> {
    let mut at = 0;
    let declare = |text: &mut Vec<u8>| fields.iter().for_each(|field| text.extend(field.header().bytes()));
    while lines.get(at) == Some(&b'#') {
        let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |end| at + end + 1);
        let line = &lines[at..end];
        let declared = String::from_utf8_lossy(line);
        found.add(declared.trim_end());
        if let Some(declared) = HeaderLine::parse(&declared).filter(|line| line.kind == "INFO")
            && let Some(field) = fields.iter().find(|field| declared.get("ID") == Some(field.id.as_str()))
        {
            return Err(AnnotateError::FieldTaken { path: path.into(), id: field.id.clone() });
        }
        if !line.starts_with(b"##") {
            declare(text);
            let names = line.trim_ascii_end();
            text.extend_from_slice(names);
            if let Some(lacking) = lacking_names(names) {
                text.extend_from_slice(lacking);
            }
            text.extend_from_slice(&line[names.len()..]);
            return Ok(end);
        }
        text.extend_from_slice(line);
        at = end;
    }
    if at < lines.len() {
        // No line of column names stands before the first record.
        declare(text);
    }
    Ok(at)
}

/// What a line of column names lacks up to INFO, where it ends after ALT or later.
fn lacking_names(names: &[u8]) -> Option<&'static [u8]> {
    const NAMES: &[u8] = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO";
    const ALT: usize = b"#CHROM\tPOS\tID\tREF\tALT".len();
    let rest = NAMES.strip_prefix(names)?;
    (names.len() >= ALT && rest.first() == Some(&b'\t')).then_some(rest)
}

/// Whether INFO has the field whose id `finder` finds, with or without a value.
fn has_field(info: &[u8], finder: &Finder<'_>) -> bool {
    finder.find_iter(info).any(|at| {
        let end = at + finder.needle().len();
        (at == 0 || info[at - 1] == b';') && matches!(info.get(end), None | Some(b'=' | b';'))
    })
}

/// Appends `lines` from `from` on to `text`, with the values of `chunk` in their INFO columns.
fn splice(chunk: &Chunk, lines: &[u8], from: usize, keys: &[Vec<u8>], text: &mut Vec<u8>) {
    let mut copied = from;
    for record in &chunk.records {
        let info = &lines[record.info.clone()];
        let empty = info == b"." || info.is_empty();
        text.extend_from_slice(&lines[copied..if empty { record.info.start } else { record.info.end }]);
        copied = record.info.end;
        for lacking in (0..record.lacking).rev() {
            text.extend_from_slice(if lacking == 0 { b"\t" } else { b"\t." });
        }
        if record.alleles.is_empty() {
            if empty {
                text.extend_from_slice(if record.lacking > 0 { b"." } else { info });
            }
            continue;
        }
        for (field, key) in keys.iter().enumerate() {
            if field > 0 || !empty {
                text.push(b';');
            }
            text.extend_from_slice(key);
            for (number, allele) in record.alleles.clone().enumerate() {
                if number > 0 {
                    text.push(b',');
                }
                match chunk.value(allele, field) {
                    Some(value) => write_score(value, text),
                    None => text.push(b'.'),
                }
            }
        }
    }
    text.extend_from_slice(&lines[copied..]);
}
