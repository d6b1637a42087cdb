//! Files for genome browsers in a folder, which lists them in `export.json`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vestore_schema::Track;

use super::ExportError;
use super::bigwig;
use super::position::BASES;
use crate::query::QueryPlan;

/// Lists the files, and says what is in them: bigWig has no room for that.
const LIST: &str = "export.json";
/// Most bytes of a list that is believed.
const LONGEST_LIST: u64 = 64 << 20;

/// What the files of a folder hold.
#[derive(Debug, Serialize)]
pub(super) struct Exported {
    pub(super) track: Track,
    pub(super) column: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
}

impl Exported {
    /// What `plan`, over one track, has in `column`.
    pub(super) fn of(plan: &QueryPlan, column: &str) -> Self {
        let target = match plan.chosen_targets() {
            [target] => Some(target.clone()),
            _ => None,
        };
        Self { track: plan.tracks[0].clone(), column: column.to_owned(), target }
    }

    /// `<track>.<column>`, with the target behind it.
    pub(super) fn name(&self) -> String {
        let parts = [Some(&self.track.name), Some(&self.column), self.target.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// Writes files into a folder.
pub(super) struct Files<'a> {
    root: &'a Path,
    written: Vec<String>,
    stems: HashSet<String>,
}

impl<'a> Files<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, written: Vec::new(), stems: HashSet::new() }
    }

    /// A beginning of file names for what is called `name`, for nothing else: with `_` for what addresses do not hold
    /// as it stands.
    pub(super) fn stem(&mut self, name: &str) -> String {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
        let plain: String = name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
        let mut stem = plain.clone();
        let mut number = 2;
        while !self.stems.insert(stem.clone()) {
            stem = format!("{plain}_{number}");
            number += 1;
        }
        stem
    }

    /// A new file.
    pub(super) fn create(&mut self, name: String) -> io::Result<BufWriter<File>> {
        let file = BufWriter::new(File::create_new(self.root.join(&name))?);
        self.written.push(name);
        Ok(file)
    }

    /// A new file of `text`.
    pub(super) fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut file = self.create(name.to_owned())?;
        file.write_all(text.as_bytes())?;
        file.flush()
    }

    /// Lists what was written.
    pub(super) fn finish(mut self, scores: &[Exported]) -> io::Result<()> {
        let files = std::mem::take(&mut self.written);
        let list = serde_json::json!({ "files": files, "scores": scores });
        self.text(LIST, &format!("{list:#}\n"))
    }
}

/// Writes a score `column` of the one track of `plan`, or of a plan over effects the kind `column` of its one target,
/// into four files of `folder`, one for each alternate base: `<track>.<column>.A.bw` and so on. Returns how many
/// variants with a score are not SNVs, which are left out.
///
/// # Errors
/// When there is no such column, or reading or writing fails.
///
/// # Panics
/// When the plan has no track.
pub fn write_alternates(plan: &QueryPlan, column: &str, folder: &Path) -> Result<u64, ExportError> {
    let exported = Exported::of(plan, column);
    let plan = plan.clone().with_columns(&[column])?;
    let assembly = plan.store().assembly();
    let mut files = Files::new(folder);
    let stem = files.stem(&exported.name());
    let mut others = 0;
    for (alternate, base) in BASES.iter().enumerate() {
        let mut file = files.create(format!("{stem}.{base}.bw"))?;
        others = bigwig::write_alternate((assembly, assembly), alternate, plan.rows(), &mut file)?;
        file.flush()?;
    }
    files.finish(&[exported])?;
    Ok(others)
}

/// The files of a folder that [`write_alternates`] or [`super::write_hub`] wrote; none of an empty one.
///
/// # Errors
/// The first that they did not write.
pub fn browser_contents(folder: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    #[derive(Deserialize)]
    struct List {
        files: HashSet<String>,
    }
    let read =
        || -> io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut entries = read().map_err(|_| folder.to_owned())?;
    entries.sort();
    let list = || -> Option<List> {
        let mut text = String::new();
        let path = folder.join(LIST);
        let plain = path.symlink_metadata().ok()?.is_file();
        plain.then(|| File::open(path).ok()?.take(LONGEST_LIST).read_to_string(&mut text).ok())??;
        serde_json::from_str(&text).ok()
    };
    let Some(first) = entries.first() else { return Ok(entries) };
    let Some(list) = list() else { return Err(first.clone()) };
    let foreign = |path: &&PathBuf| {
        let listed = path.file_name().and_then(|name| name.to_str());
        let listed = listed.is_some_and(|name| name == LIST || list.files.contains(name));
        !(listed && path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()))
    };
    match entries.iter().find(foreign) {
        Some(path) => Err(path.clone()),
        None => Ok(entries),
    }
}
