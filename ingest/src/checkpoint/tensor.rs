//! Where a tensor lies in a file, and of which numbers it is made.

use std::ops::Range;

/// The number type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorDtype {
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

impl TensorDtype {
    /// Bytes of one number; 0 for an unsupported type.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I64 => 8,
            Self::Other => 0,
        }
    }

    /// Whether it can be the type of a weight.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
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
    pub(super) file: usize,
    /// Bytes of the tensor when `strides` is `None`, else of its whole storage.
    pub(super) bytes: Range<usize>,
    /// Number type.
    pub(crate) dtype: TensorDtype,
    /// Size of each dimension.
    pub(crate) shape: Vec<usize>,
    /// Offset and strides in numbers, when the numbers do not lie in row-major order.
    pub(super) strides: Option<(usize, Vec<usize>)>,
}

impl StoredTensor {
    /// A tensor inside a storage; `None` when it reaches beyond it or makes more numbers of it than it holds,
    /// as steps of zero would.
    pub(crate) fn strided(
        file: usize,
        storage: Range<usize>,
        dtype: TensorDtype,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_beyond_its_storage_is_refused() {
        let place = |offset, shape: &[usize], strides: &[usize]| {
            StoredTensor::strided(0, 100..124, TensorDtype::F32, offset, shape, strides)
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
