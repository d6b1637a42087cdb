//! Named float32 tensors as one safetensors file: the one writer of the format.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A weight: name, shape, numbers.
pub type NamedWeight = (String, Vec<usize>, Vec<f32>);

/// The bytes of a safetensors file of float32 tensors, each with its name, shape and little-endian numbers.
pub(crate) fn safetensors_bytes(
    tensors: &[(String, Vec<usize>, Vec<u8>)],
    metadata: Option<HashMap<String, String>>,
) -> io::Result<Vec<u8>> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(io::Error::other)?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize(views, metadata).map_err(io::Error::other)
}

/// Writes weights as one safetensors file.
///
/// # Errors
/// When the file cannot be written, or a shape does not fit its numbers.
pub fn write_safetensors(file: &Path, weights: &[NamedWeight]) -> io::Result<()> {
    let little_endian = |(name, shape, numbers): &NamedWeight| {
        (name.clone(), shape.clone(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    };
    let tensors: Vec<_> = weights.iter().map(little_endian).collect();
    std::fs::write(file, safetensors_bytes(&tensors, None)?)
}
