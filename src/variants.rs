//! From files of variants and regions to the plan of a run.

mod bcf;
mod bed;
mod contigs;
mod encoding;
mod header;
mod input;
mod normalize;
mod plan;
mod report;
mod rows;
mod saturation;
mod sort;
mod source;
mod vcf;

pub use self::bed::read_bed;
pub use self::input::InputError;
pub use self::normalize::{Allele, Normalized, Rejection, normalize};
pub use self::plan::{Plan, PlanError, PlanOptions, Planned, PlannedRows, RefMismatch};
pub use self::report::{Listed, Report, ReportError};
pub use self::rows::SpillError;
pub use self::source::{Record, VariantSource};

pub(crate) use self::bcf::{RECORD_LENGTHS, Site, record_lengths};
pub(crate) use self::contigs::Contigs;
pub(crate) use self::encoding::{BYTE_ORDER_MARK, Foreign};
pub(crate) use self::header::{HeaderLine, InfoNumber, VariantHeader};
pub(crate) use self::input::Input;
pub(crate) use self::sort::Sort;
