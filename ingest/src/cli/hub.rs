//! Models by name.

use vestore_ingest::{HubFiles, HubId, HubPart, HubSettings, fetch_from_hub};

use super::progress::Bar;
use super::shared::say;

/// Fetches what `id` names into the cache of the hub, if anything is named.
pub(super) fn fetch(id: Option<&HubId>, part: HubPart, quiet: bool) -> anyhow::Result<Option<HubFiles>> {
    let Some(id) = id else { return Ok(None) };
    let files = fetch_from_hub(id, part, &HubSettings::from_env(), &Bar::new(quiet))?;
    let license = files.origin.license.as_deref().unwrap_or("not stated");
    say(format_args!("{id}: commit {}, license {license}", files.origin.revision));
    Ok(Some(files))
}
