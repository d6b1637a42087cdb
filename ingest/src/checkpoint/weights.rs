//! The weights of a model as files hold them: named tensors in a mapped file, one safetensors file
//! or several shards of one, or torch's `.bin`. Nothing is copied until a tensor is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::SafeTensorError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::{Kind, TchError, Tensor};

use super::error::CheckpointError;
use super::pickle;
use super::tensor::{StoredTensor, TensorDtype};
use super::text::{has_file, open_plain, read_json};

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
        let names = weight_names(stem, bin_stem);
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
        let places = weight_map(&file)?;
        let mut numbers = BTreeMap::new();
        for shard in places.values().collect::<BTreeSet<_>>() {
            numbers.insert(shard, self.files.len());
            self.file(directory.join(shard))?;
        }
        for (key, shard) in &places {
            if self.tensors.get(key).map(|tensor| tensor.file) != numbers.get(shard).copied() {
                let (key, shard) = (key.clone(), shard.clone());
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
                    // Of two names for one place nothing has to be read.
                    let one = other.file == tensor.file
                        && other.bytes == tensor.bytes
                        && other.strides == tensor.strides;
                    let same = other.shape == tensor.shape
                        && other.dtype == tensor.dtype
                        && (one || self.digest(other)? == self.digest(tensor)?);
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

/// Files that weights may lie in, whole or as an index of shards, in the order in which they are looked for.
pub(crate) fn weight_names(stem: &str, bin_stem: &str) -> [String; 4] {
    [
        format!("{stem}.safetensors"),
        format!("{stem}.safetensors.index.json"),
        format!("{bin_stem}.bin"),
        format!("{bin_stem}.bin.index.json"),
    ]
}

/// The shard of each weight, as an index names it.
pub(crate) fn weight_map(index: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
    let json = read_json(index)?;
    let invalid = |reason: &str| CheckpointError::Json { file: index.to_owned(), reason: reason.to_owned() };
    let Some(places) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(invalid("no object `weight_map`"));
    };
    let place = |(key, shard): (&String, &Value)| match shard.as_str() {
        // A shard lies beside its index; anything else could name a file elsewhere.
        Some(name) if Path::new(name).file_name().is_some_and(|plain| plain == name) => {
            Ok((key.clone(), name.to_owned()))
        }
        _ => Err(invalid("`weight_map` has a value that is not a plain file name")),
    };
    places.iter().map(place).collect()
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
            safetensors::Dtype::F32 => TensorDtype::F32,
            safetensors::Dtype::F16 => TensorDtype::F16,
            safetensors::Dtype::BF16 => TensorDtype::Bf16,
            safetensors::Dtype::I64 => TensorDtype::I64,
            _ => TensorDtype::Other,
        };
        let bytes = data + info.data_offsets.0..data + info.data_offsets.1;
        (name.clone(), StoredTensor { file, bytes, dtype, shape: info.shape.clone(), strides: None })
    };
    Ok(tensors.iter().map(tensor).collect())
}

/// A weight in the files that hold it.
pub(crate) struct Found<'a> {
    checkpoint: &'a Checkpoint,
    tensor: &'a StoredTensor,
    pub(crate) dtype: TensorDtype,
    pub(crate) shape: &'a [usize],
}

impl<'a> Found<'a> {
    pub(crate) fn new(checkpoint: &'a Checkpoint, tensor: &'a StoredTensor) -> Self {
        Self { checkpoint, tensor, dtype: tensor.dtype, shape: &tensor.shape }
    }

    /// Bytes of its numbers.
    pub(crate) fn byte_count(&self) -> u64 {
        self.shape.iter().map(|size| *size as u64).product::<u64>() * self.dtype.size() as u64
    }

    /// The SHA-256 of its numbers.
    pub(crate) fn digest(&self) -> Result<[u8; 32], CheckpointError> {
        self.checkpoint.digest(self.tensor)
    }

    /// Its numbers, row-major and little-endian.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        self.checkpoint.bytes(self.tensor)
    }
}

/// Copies a stored tensor into libtorch's memory.
pub(crate) fn to_tensor(found: &Found<'_>) -> Result<Tensor, TchError> {
    let kind = match found.dtype {
        TensorDtype::F16 => Kind::Half,
        TensorDtype::Bf16 => Kind::BFloat16,
        TensorDtype::F32 | TensorDtype::I64 | TensorDtype::Other => Kind::Float,
    };
    // libtorch would read beyond the bytes if they were fewer than the shape says.
    let bytes = found.bytes().map_err(|error| TchError::Io(std::io::Error::other(error)))?;
    if bytes.len() != found.shape.iter().product::<usize>() * kind.elt_size_in_bytes() {
        return Err(TchError::Shape(format!(
            "{} bytes of {} for {:?}",
            bytes.len(),
            found.dtype.name(),
            found.shape
        )));
    }
    let shape: Result<Vec<i64>, _> = found.shape.iter().map(|size| i64::try_from(*size)).collect();
    let shape =
        shape.map_err(|_| TchError::Shape(format!("{:?} is larger than libtorch can count", found.shape)))?;
    Tensor::f_from_data_size(&bytes, &shape, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_beyond_63_bits_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let header = r#"{"a":{"dtype":"F32","shape":[9223372036854775808,0],"data_offsets":[0,0]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        std::fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
        let checkpoint = Checkpoint::open(folder.path(), "model", "pytorch_model").expect("a checkpoint");
        let tensor = checkpoint.get("a").expect("a tensor");
        let found = Found::new(&checkpoint, tensor);
        assert!(matches!(to_tensor(&found), Err(TchError::Shape(_))));
    }
}
