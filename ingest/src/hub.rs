//! Models by name: the files of a repository on the Hugging Face hub, in the cache that its Python library has.
//!
//! The crate `hf-hub` knows the addresses of the hub and the layout of the cache. Transfers are our own, because it
//! neither verifies what it downloads nor resumes where a server ignores ranges, waits for a silent server without end,
//! and sends tokens to whatever host a redirect names.

mod client;
mod digest;
mod download;
mod error;
mod files;
mod id;
mod settings;

use std::path::PathBuf;

use hf_hub::{Cache, Repo, RepoType};
use vestore_schema::{HubOrigin, is_commit};

use crate::checkpoint::card_license;
use crate::progress::Progress;
use client::Client;
use download::{CachedCommit, Remote};
pub use error::HubError;
pub use files::HubPart;
pub use id::{HubId, HubIdError};
pub use settings::HubSettings;

/// Files of a repository in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFiles {
    /// Their folder.
    pub folder: PathBuf,
    /// Where they came from.
    pub origin: HubOrigin,
}

/// Fetches the files of `part` that `id` names into the cache, as far as they are not in it; offline they must be. No
/// code is fetched.
///
/// # Errors
/// When the hub cannot be reached or refuses, when a file is not what the hub says, or offline when files are missing.
pub fn fetch(
    id: &HubId,
    part: HubPart,
    settings: &HubSettings,
    progress: &dyn Progress,
) -> Result<HubFiles, HubError> {
    let repo = Repo::with_revision(id.repository.clone(), RepoType::Model, id.revision.clone());
    let cache = Cache::new(settings.cache.clone());
    let commit = match &settings.offline {
        Some(variable) => cached(id, part, variable, &repo, &cache)?,
        None => download(id, part, settings, &repo, &cache, progress)?,
    };
    let folder = cache.repo(repo).pointer_path(&commit);
    let license = card_license(&folder)?;
    Ok(HubFiles {
        folder,
        origin: HubOrigin { repository: id.repository.clone(), revision: commit, license },
    })
}

/// The commit whose files the cache has; their digests are verified.
fn cached(id: &HubId, part: HubPart, variable: &str, repo: &Repo, cache: &Cache) -> Result<String, HubError> {
    let missing = |missing: String| HubError::NotCached {
        id: id.clone(),
        missing,
        cache: cache.path().clone(),
        variable: variable.to_owned(),
    };
    let commit = if is_commit(&id.revision) {
        id.revision.clone()
    } else {
        let named = std::fs::read_to_string(ref_path(repo, cache)).unwrap_or_default();
        named.trim().to_owned()
    };
    if !is_commit(&commit) {
        return Err(missing(String::new()));
    }
    let folder = cache.repo(repo.clone()).pointer_path(&commit);
    let names = files::listed(&folder)?;
    let mut wanted = files::wanted(part, &names).map_err(|file| missing(format!(", or not with {file}")))?;
    wanted.extend(files::shards(&folder, &wanted)?);
    for name in wanted {
        if !names.contains(&name) {
            return Err(missing(format!(", or not with {name}")));
        }
        digest::verify_link(&folder.join(&name))?;
    }
    Ok(commit)
}

/// Brings the files into the cache; the commit that the revision is.
fn download(
    id: &HubId,
    part: HubPart,
    settings: &HubSettings,
    repo: &Repo,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<String, HubError> {
    let client = Client::new(settings, id)?;
    let info = client.info(repo)?;
    let answer =
        |what: &str, value: String, expected| HubError::Answer { what: what.to_owned(), value, expected };
    if !is_commit(&info.sha) {
        return Err(answer("commit", info.sha, "40 hexadecimal digits"));
    }
    let names: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
    if let Some(outside) = names.iter().find(|name| !files::is_inside(name)) {
        return Err(answer("file name", outside.clone(), "a path inside the repository"));
    }
    let wanted = files::wanted(part, &names).map_err(|expected| {
        let hint = files::hint(part, &names);
        HubError::NoFiles { id: id.clone(), expected, hint }
    })?;
    let remote = |name: &String| client.remote(repo, &info.sha, name);
    let mut remotes = wanted.iter().map(remote).collect::<Result<Vec<Remote>, HubError>>()?;
    let cached = CachedCommit::new(&client, cache, repo, &info.sha, progress);
    if let Some(index) = remotes.iter().find(|remote| files::is_index(&remote.name)) {
        cached.place(index)?;
        for shard in files::shards(&cached.folder, &wanted)? {
            remotes.push(remote(&shard)?);
        }
    }
    progress.begin("bytes", 0, remotes.iter().map(|remote| remote.size).sum());
    let placed = remotes.iter().try_for_each(|remote| cached.place(remote));
    progress.finish();
    placed?;
    let known = std::fs::read_to_string(ref_path(repo, cache)).unwrap_or_default();
    if info.sha != id.revision && info.sha != known.trim() {
        let written = cache.repo(repo.clone()).create_ref(&info.sha);
        written.map_err(HubError::io("write", &ref_path(repo, cache)))?;
    }
    Ok(info.sha)
}

/// The file that names the commit of a branch or tag.
fn ref_path(repo: &Repo, cache: &Cache) -> PathBuf {
    cache.path().join(repo.folder_name()).join("refs").join(repo.revision())
}
