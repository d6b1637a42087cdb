//! The weights of a model as files hold them: named tensors in a mapped file, one safetensors file
//! or several shards of one, or torch's `.bin`. Nothing is copied until a tensor is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::SafeTensorError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::pickle::{self, PickleError};

/// Why a checkpoint's files cannot be read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// No file of a known name.
    #[error("`{}` holds no weights; expected one of {}", directory.display(), expected.join(", "))]
    NoWeights {
        /// Where they were looked for.
        directory: PathBuf,
        /// File names that would do.
        expected: Vec<String>,
    },
    /// The operating system refused.
    #[error("cannot read `{}`", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The safetensors header lies or the file is cut.
    #[error("`{}` is not a whole safetensors file; copy it again", file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// What the format's reader said.
        #[source]
        source: SafeTensorError,
    },
    /// The `.bin` file is damaged or holds more than weights.
    #[error("`{}` is refused", file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: PickleError,
    },
    /// A link that leads out of the folder.
    #[error(
        "`{}` is a link to another place: `{}`; put a copy of the file in its place if it belongs to the model",
        file.display(), target.display()
    )]
    Link {
        /// The link.
        file: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A folder, pipe or device where a file is expected.
    #[error("not a plain file: `{}`; remove it, or replace it with the file that it stands for", file.display())]
    NotPlain {
        /// Its path.
        file: PathBuf,
    },
    /// A JSON file that is none.
    #[error("`{}` is not valid JSON of the expected form ({reason})", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A shard lacks what the index says it holds.
    #[error("the index `{}` places `{key}` in `{shard}`, which does not hold it; copy the shards again", file.display())]
    Shard {
        /// The index file.
        file: PathBuf,
        /// Name of the weight.
        key: String,
        /// File name of the shard.
        shard: String,
    },
    /// One name stands in two places.
    #[error("`{}` holds `{key}` twice (also as `{other}`); remove one", file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// Name of the weight.
        key: String,
        /// The other spelling or place.
        other: String,
    },
}

/// The number type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
    /// 64-bit integers: buffers such as position numbers, never weights.
    I64,
    /// Anything else; such a tensor can be ignored but not used.
    Other,
}

impl Dtype {
    /// Bytes of one number; 0 when the type is not one of ours.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I64 => 8,
            Self::Other => 0,
        }
    }

    /// The name that digests and messages use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::Other => "another type",
        }
    }
}

/// Where one tensor lies.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    file: usize,
    /// Bytes of the tensor when `strides` is `None`, else of its whole storage.
    bytes: Range<usize>,
    /// Number type.
    pub(crate) dtype: Dtype,
    /// Size of each dimension.
    pub(crate) shape: Vec<usize>,
    /// Offset and strides in numbers, when the numbers do not lie in row-major order.
    strides: Option<(usize, Vec<usize>)>,
}

impl StoredTensor {
    /// A tensor inside a storage; `None` when it reaches beyond it or makes more numbers of it than it holds,
    /// as steps of zero would.
    pub(crate) fn strided(
        file: usize,
        storage: Range<usize>,
        dtype: Dtype,
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> Option<Self> {
        let count = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))?;
        let mut last = offset;
        for (size, stride) in shape.iter().zip(strides) {
            last = last.checked_add(size.saturating_sub(1).checked_mul(*stride)?)?;
        }
        let reach = if count == 0 { offset } else { last.checked_add(1)?.max(count) };
        if reach.checked_mul(dtype.size())? > storage.len() {
            return None;
        }
        let mut expected = 1usize;
        let contiguous = shape.iter().zip(strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == expected;
            expected = expected.wrapping_mul(*size);
            fits
        });
        let shape = shape.to_vec();
        if contiguous || count == 0 {
            let start = storage.start + offset * dtype.size();
            let bytes = start..start + count * dtype.size();
            return Some(Self { file, bytes, dtype, shape, strides: None });
        }
        Some(Self { file, bytes: storage, dtype, shape, strides: Some((offset, strides.to_vec())) })
    }
}

struct Mapped {
    path: PathBuf,
    file: File,
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl Mapped {
    fn open(path: PathBuf) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { file: path.clone(), source };
        let file = open_plain(&path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Ok(Self { path, file, map: None });
        }
        #[expect(unsafe_code, reason = "headers are parsed from a map")]
        // SAFETY: the bytes are only read. A file cut while we run ends the process, as it would any
        // program that maps it; weights are not written in place.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path, file, map: Some(map) })
    }

    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

/// The named tensors of one checkpoint or adapter.
pub(crate) struct Checkpoint {
    files: Vec<Mapped>,
    tensors: BTreeMap<String, StoredTensor>,
    /// Which shard holds what.
    index: Option<PathBuf>,
}

impl Checkpoint {
    /// A checkpoint without weights, for a model that is yet to be trained.
    pub(crate) fn empty() -> Self {
        Self { files: Vec::new(), tensors: BTreeMap::new(), index: None }
    }

    /// Opens `<stem>.safetensors` or `<bin_stem>.bin` in `directory`, whole or in shards;
    /// safetensors first, as the reference implementations do.
    pub(crate) fn open(directory: &Path, stem: &str, bin_stem: &str) -> Result<Self, CheckpointError> {
        let names = [
            format!("{stem}.safetensors"),
            format!("{stem}.safetensors.index.json"),
            format!("{bin_stem}.bin"),
            format!("{bin_stem}.bin.index.json"),
        ];
        let mut found = None;
        for name in &names {
            let file = directory.join(name);
            if has_file(&file).map_err(|source| CheckpointError::Io { file, source })? {
                found = Some(name);
                break;
            }
        }
        let Some(found) = found else {
            return Err(CheckpointError::NoWeights {
                directory: directory.to_owned(),
                expected: names.to_vec(),
            });
        };
        let mut checkpoint = Self::empty();
        if found.ends_with(".index.json") {
            checkpoint.index = Some(directory.join(found));
            checkpoint.shards(directory, found)?;
        } else {
            checkpoint.file(directory.join(found))?;
        }
        Ok(checkpoint)
    }

    /// Names of its files, and of the index that names them.
    pub(crate) fn file_names(&self) -> Vec<String> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut names: Vec<String> = self.files.iter().filter_map(|file| name(&file.path)).collect();
        names.extend(self.index.as_deref().and_then(name));
        names
    }

    /// Adds the tensors of one file.
    fn file(&mut self, path: PathBuf) -> Result<(), CheckpointError> {
        let mapped = Mapped::open(path)?;
        let number = self.files.len();
        let tensors = if mapped.path.extension().is_some_and(|extension| extension == "safetensors") {
            safetensors(mapped.bytes(), number)
                .map_err(|source| CheckpointError::Safetensors { file: mapped.path.clone(), source })?
        } else {
            pickle::read(mapped.bytes(), number)
                .map_err(|source| CheckpointError::Pickle { file: mapped.path.clone(), source })?
        };
        for (key, tensor) in tensors {
            if self.tensors.insert(key.clone(), tensor).is_some() {
                return Err(CheckpointError::Duplicate { file: mapped.path, other: key.clone(), key });
            }
        }
        self.files.push(mapped);
        Ok(())
    }

    fn shards(&mut self, directory: &Path, index: &str) -> Result<(), CheckpointError> {
        let file = directory.join(index);
        let json = read_json(&file)?;
        let invalid = |reason: &str| CheckpointError::Json { file: file.clone(), reason: reason.to_owned() };
        let Some(places) = json.get("weight_map").and_then(Value::as_object) else {
            return Err(invalid("no object `weight_map`"));
        };
        let mut shards: Vec<&str> = Vec::new();
        for shard in places.values() {
            // A shard lies beside its index; anything else could name a file elsewhere.
            match shard.as_str() {
                Some(name) if Path::new(name).file_name().is_some_and(|plain| plain == name) => {
                    shards.push(name);
                }
                _ => return Err(invalid("`weight_map` has a value that is not a plain file name")),
            }
        }
        shards.sort_unstable();
        shards.dedup();
        let mut numbers = BTreeMap::new();
        for shard in shards {
            numbers.insert(shard, self.files.len());
            self.file(directory.join(shard))?;
        }
        for (key, shard) in places {
            let shard = shard.as_str().unwrap_or_default();
            if self.tensors.get(key).map(|tensor| tensor.file) != numbers.get(shard).copied() {
                let (key, shard) = (key.clone(), shard.to_owned());
                return Err(CheckpointError::Shard { file, key, shard });
            }
        }
        Ok(())
    }

    /// Renames every tensor by `rename`; two tensors of one new name are an error.
    pub(crate) fn rename(&mut self, rename: impl Fn(&str) -> String) -> Result<(), CheckpointError> {
        let mut renamed: BTreeMap<String, (String, StoredTensor)> = BTreeMap::new();
        for (key, tensor) in std::mem::take(&mut self.tensors) {
            let name = rename(&key);
            if let Some((other, _)) = renamed.get(&name) {
                let file = self.path_of(&tensor).to_owned();
                return Err(CheckpointError::Duplicate { file, other: other.clone(), key });
            }
            renamed.insert(name, (key, tensor));
        }
        self.tensors = renamed.into_iter().map(|(name, (_, tensor))| (name, tensor)).collect();
        Ok(())
    }

    /// As [`Checkpoint::rename`], but of two tensors of one new name and the same numbers one is kept.
    pub(crate) fn rename_same(&mut self, rename: impl Fn(&str) -> String) -> Result<(), CheckpointError> {
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        let mut copies: Vec<String> = Vec::new();
        for (key, tensor) in &self.tensors {
            let name = rename(key);
            match first.get(&name).and_then(|other| self.tensors.get(other)) {
                None => drop(first.insert(name, key.clone())),
                Some(other) => {
                    let same = other.shape == tensor.shape
                        && other.dtype == tensor.dtype
                        && self.digest(other)? == self.digest(tensor)?;
                    if same {
                        copies.push(key.clone());
                    }
                }
            }
        }
        self.tensors.retain(|key, _| !copies.contains(key));
        self.rename(rename)
    }

    /// Keeps the tensors whose names `keep` holds for needed.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.tensors.retain(|key, _| keep(key));
    }

    /// Names and tensors, sorted by name.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    pub(crate) fn path_of(&self, tensor: &StoredTensor) -> &Path {
        &self.files[tensor.file].path
    }

    /// The first file, for messages about what is missing from all of them.
    pub(crate) fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| &file.path)
    }

    /// The SHA-256 of the numbers of `tensor` in row-major order, little-endian, read in small pieces.
    pub(crate) fn digest(&self, tensor: &StoredTensor) -> Result<[u8; 32], CheckpointError> {
        if tensor.strides.is_some() {
            return Ok(Sha256::digest(self.bytes(tensor)?).into());
        }
        let Mapped { path, file, .. } = &self.files[tensor.file];
        let mut hash = Sha256::new();
        let mut piece = vec![0; tensor.bytes.len().min(1 << 20)];
        let mut at = tensor.bytes.start;
        while at < tensor.bytes.end {
            let length = piece.len().min(tensor.bytes.end - at);
            file.read_exact_at(&mut piece[..length], at as u64)
                .map_err(|source| CheckpointError::Io { file: path.clone(), source })?;
            hash.update(&piece[..length]);
            at += length;
        }
        Ok(hash.finalize().into())
    }

    /// The numbers of `tensor` in row-major order, little-endian. They are read, not borrowed from the map:
    /// mapped pages would stay in memory beside the tensors made of them.
    pub(crate) fn bytes(&self, tensor: &StoredTensor) -> Result<Vec<u8>, CheckpointError> {
        let Mapped { path, file, .. } = &self.files[tensor.file];
        let mut stored = vec![0; tensor.bytes.len()];
        file.read_exact_at(&mut stored, tensor.bytes.start as u64)
            .map_err(|source| CheckpointError::Io { file: path.clone(), source })?;
        let Some((offset, strides)) = &tensor.strides else { return Ok(stored) };
        let size = tensor.dtype.size();
        let count: usize = tensor.shape.iter().product();
        let mut gathered = Vec::with_capacity(count * size);
        let mut index = vec![0; tensor.shape.len()];
        for _ in 0..count {
            let place: usize = index.iter().zip(strides).map(|(step, stride)| step * stride).sum();
            let at = (offset + place) * size;
            gathered.extend_from_slice(&stored[at..at + size]);
            for (step, length) in index.iter_mut().zip(&tensor.shape).rev() {
                *step += 1;
                if *step < *length {
                    break;
                }
                *step = 0;
            }
        }
        Ok(gathered)
    }
}

/// The tensors that a safetensors header names, checked by the format's own reader: offsets in
/// order, without gaps, of the size that shape and type say, and the file exactly as long.
fn safetensors(bytes: &[u8], file: usize) -> Result<Vec<(String, StoredTensor)>, SafeTensorError> {
    SafeTensors::deserialize(bytes)?;
    let (header, metadata) = SafeTensors::read_metadata(bytes)?;
    let data = header + 8;
    let tensors = metadata.tensors();
    let tensor = |(name, info): (&String, &&safetensors::tensor::TensorInfo)| {
        let dtype = match info.dtype {
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::Bf16,
            safetensors::Dtype::I64 => Dtype::I64,
            _ => Dtype::Other,
        };
        let bytes = data + info.data_offsets.0..data + info.data_offsets.1;
        (name.clone(), StoredTensor { file, bytes, dtype, shape: info.shape.clone(), strides: None })
    };
    Ok(tensors.iter().map(tensor).collect())
}

/// Most bytes of a JSON file of a model directory: the largest are indexes of shards, with a line a weight.
const MOST_JSON: u64 = 64 << 20;

/// Opens a file that must be a plain one: a named pipe would be waited for without end.
fn open_plain(file: &Path) -> io::Result<File> {
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
    if opened.metadata()?.is_file() {
        return Ok(opened);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Whether there is a plain file of that name, also at the end of a link. What cannot be looked at is an error: taken
/// for absent, it would be passed over for another file.
pub(crate) fn has_file(file: &Path) -> io::Result<bool> {
    match file.metadata() {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The bytes of a plain file of at most `most` bytes.
fn read_bounded(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let reason = format!("it is larger than {} MB, the most that such a file may have", most >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

/// The text of a plain file of at most `most` bytes, without a byte order mark; UTF-16 is refused by name.
pub(crate) fn read_text(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let bytes = read_bounded(file, most)?;
    let text = vestore::plain_text(&bytes);
    text.map(<[u8]>::to_vec).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// Reads a JSON file of a model directory.
pub(crate) fn read_json(file: &Path) -> Result<Value, CheckpointError> {
    let io = |source| CheckpointError::Io { file: file.to_owned(), source };
    let text = read_text(file, MOST_JSON).map_err(io)?;
    serde_json::from_slice(&text)
        .map_err(|error| CheckpointError::Json { file: file.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_beyond_its_storage_is_refused() {
        let place = |offset, shape: &[usize], strides: &[usize]| {
            StoredTensor::strided(0, 100..124, Dtype::F32, offset, shape, strides)
        };
        assert_eq!(place(0, &[2, 3], &[3, 1]).expect("whole").bytes, 100..124);
        assert_eq!(place(2, &[2], &[1]).expect("part").bytes, 108..116);
        assert!(place(0, &[3, 2], &[1, 3]).expect("transposed").strides.is_some());
        assert!(place(1, &[2, 3], &[3, 1]).is_none());
        assert!(place(0, &[7], &[1]).is_none());
        assert!(place(0, &[usize::MAX, 2], &[1, 1]).is_none());
        assert!(place(usize::MAX, &[2], &[usize::MAX]).is_none());
    }
}
