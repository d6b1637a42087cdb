//! The places that a command line names.

use vestore::{Places, Report, Store};
use vestore_schema::Variant;

use super::shared::{Usage, say, warn};

/// The one variant that `text` named.
pub(super) fn one_variant<'a>(places: &'a Places, store: &Store, text: &str) -> Result<&'a Variant, Usage> {
    match places.variants.as_slice() {
        [variant] => Ok(variant),
        [] => Err(Usage(format!("not a variant: `{text}`; expected for example `17-43044295-G-A`"))),
        several => {
            let names: Vec<String> =
                several.iter().map(|variant| variant.display(store.assembly()).to_string()).collect();
            Err(Usage(format!("`{text}` names several variants: {}; expected one", names.join(", "))))
        }
    }
}

/// Says what of a file could not be asked for.
pub(super) fn tell(report: &Report) {
    warn(&report.warnings);
    let summary = report.summary();
    if report.has_rejected() {
        say(format_args!("{}", summary.trim_end()));
    }
}
