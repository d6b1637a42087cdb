//! Figures in files: SVG, or the same drawn as PNG, by the extension of the file.

mod hypot;
mod png;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::output::{Output, OutputError, OutputRules};

/// Pixels of a PNG per unit of its SVG along each side: sharp on screens of any kind and, at 192 dots an inch, on paper.
const SCALE: f32 = 2.0;
/// Most pixels of a PNG, for which 256 MB are needed.
const MAX_PIXELS: u64 = 1 << 25;

/// A file that a figure is to be written to. Its extension, `.svg` or `.png`, says how.
#[derive(Debug)]
pub struct FigureFile {
    output: Output,
    form: Form,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Svg,
    Png,
}

impl FigureFile {
    /// Opens the file, before any work is done for it.
    ///
    /// # Errors
    /// When the extension is neither `.svg` nor `.png`, in any case of letters; as [`Output::create`].
    pub fn create(path: &Path, rules: &OutputRules<'_>) -> Result<Self, FigureError> {
        // First what must not be written, whatever its extension.
        let output = Output::create(Some(path), rules)?;
        let has = |ending: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
        let form = match (has("svg"), has("png")) {
            (true, _) => Form::Svg,
            (_, true) => Form::Png,
            _ => return Err(FigureError::Extension { path: path.to_owned() }),
        };
        if form == Form::Png {
            output.refuse_terminal("PNG")?;
        }
        Ok(Self { output, form, path: path.to_owned() })
    }

    /// Writes the figure and gives the file its name. PNG has two pixels per unit of the SVG and a white
    /// ground; its letters come from a font in the program, so that it is the same on every machine. Nothing that the
    /// SVG refers to is read.
    ///
    /// # Errors
    /// When a PNG would have more than 33,554,432 pixels, when `svg` is not SVG, or the system refuses.
    pub fn write(mut self, svg: &str) -> Result<(), FigureError> {
        let write = |output: &mut Output, bytes: &[u8]| {
            output.write_all(bytes).map_err(|source| FigureError::Io { path: self.path.clone(), source })
        };
        match self.form {
            Form::Svg => write(&mut self.output, svg.as_bytes())?,
            Form::Png => write(&mut self.output, &png::drawn(svg, &self.path)?)?,
        }
        Ok(self.output.finish()?)
    }
}

/// Why a figure is not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FigureError {
    /// A name that does not say how.
    #[error("cannot draw `{}`; expected a file name that ends in .svg or .png", path.display())]
    Extension {
        /// As given.
        path: PathBuf,
    },
    /// Too many pixels.
    #[error(
        "too large for a PNG: {width} × {height} pixels for `{}`; at most {MAX_PIXELS} in all; write .svg instead",
        path.display()
    )]
    Size {
        /// The output.
        path: PathBuf,
        /// Pixels.
        width: u64,
        /// Pixels.
        height: u64,
    },
    /// What was drawn is not SVG, or cannot be drawn.
    #[error("cannot draw `{}`: {reason}; write .svg instead", path.display())]
    Svg {
        /// The output.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// The output is refused.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The system refused.
    #[error("cannot write `{}`", path.display())]
    Io {
        /// The output.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FigureError {
    /// Whether the path makes no sense for a figure, whatever is there.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Extension { .. } => true,
            Self::Output(error) => error.is_usage(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
