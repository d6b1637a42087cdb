//! Tables of rsIDs: which variants an id of dbSNP names.

mod block;
mod read;

pub(crate) use block::{BlockWriter, Index, Tail};
pub(crate) use read::{IdRows, read_ids, source_digest};

/// The number of an rsID: `rs80357713`, in any case of letters.
#[must_use]
pub fn rs_number(text: &str) -> Option<u64> {
    let digits =
        text.strip_prefix("rs").or_else(|| text.strip_prefix("RS")).or_else(|| text.strip_prefix("Rs"))?;
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| decimal && *number > 0)
}

/// An id with a variant in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdRow {
    pub(crate) id: u64,
    pub(crate) variant: vestore_schema::Variant,
}

#[cfg(test)]
mod tests;
