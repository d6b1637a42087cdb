//! Which layers of a checkpoint a model keeps. Layer numbers are always the original checkpoint's,
//! counted from 0.

use thiserror::Error;

/// Why a list of layers does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayersError {
    /// A number beyond the last layer.
    #[error("there is no layer {layer}: the checkpoint has layers 0 to {}", layers - 1)]
    OutOfRange {
        /// The number.
        layer: u32,
        /// How many layers the checkpoint has.
        layers: u32,
    },
    /// A number twice, or numbers out of order.
    #[error("layer {layer} stands twice or out of order; list each kept layer once, ascending")]
    OutOfOrder {
        /// The first number that is not above its predecessor.
        layer: u32,
    },
    /// Nothing would be left.
    #[error("no layer is kept; keep at least one")]
    Empty,
}

/// The kept layers of a checkpoint with `layers` layers: all of them when `kept` is `None`.
pub(crate) fn kept_layers(kept: Option<&[u32]>, layers: u32) -> Result<Vec<u32>, LayersError> {
    let Some(kept) = kept else { return Ok((0..layers).collect()) };
    if kept.is_empty() {
        return Err(LayersError::Empty);
    }
    if let Some(layer) = kept.iter().copied().find(|layer| *layer >= layers) {
        return Err(LayersError::OutOfRange { layer, layers });
    }
    if let Some(pair) = kept.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(LayersError::OutOfOrder { layer: pair[1] });
    }
    Ok(kept.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_checked() {
        assert_eq!(kept_layers(None, 3), Ok(vec![0, 1, 2]));
        assert_eq!(kept_layers(Some(&[0, 2]), 3), Ok(vec![0, 2]));
        assert_eq!(kept_layers(Some(&[]), 3), Err(LayersError::Empty));
        assert_eq!(kept_layers(Some(&[3]), 3), Err(LayersError::OutOfRange { layer: 3, layers: 3 }));
        assert_eq!(kept_layers(Some(&[1, 1]), 3), Err(LayersError::OutOfOrder { layer: 1 }));
        assert_eq!(kept_layers(Some(&[2, 1]), 3), Err(LayersError::OutOfOrder { layer: 1 }));
    }
}
