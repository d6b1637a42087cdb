//! From files of variants and regions to the plan of a run.

mod bcf;
mod bed;
mod contigs;
mod encoding;
mod header;
mod input;
mod normalize;
mod plan;
mod ref_check;
mod report;
mod rows;
mod saturation;
mod sites;
mod sort;
mod source;
mod vcf;

pub use self::bed::{BedLine, read_bed};
pub use self::input::{Input, InputError};
pub use self::normalize::{Allele, Normalized, Rejection, normalize};
pub use self::plan::{Plan, PlanError, PlanOptions, Planned, PlannedRows};
pub use self::ref_check::{RefCheck, RefComparison, RefDifference, RefMismatch, RefMismatchError};
pub use self::report::{Listed, Report, ReportError};
pub use self::rows::SpillError;
pub use self::sites::{HELD_RECORDS, NormalizedSite, RecordSite, normalize_sites};
pub use self::source::{Record, Records as VariantRecords, VariantSource};

pub(crate) use self::bcf::{RECORD_LENGTHS, Site, record_lengths};
pub use self::contigs::Contigs;
pub use self::encoding::plain_text;
pub(crate) use self::encoding::{BYTE_ORDER_MARK, Foreign};
pub(crate) use self::header::{HeaderContig, HeaderLine, InfoNumber, VariantHeader};
pub(crate) use self::sites::{compare_reference, lies_inside};
pub(crate) use self::sort::{Sort, SortedRows};
pub(crate) use self::source::too_many_alleles;
