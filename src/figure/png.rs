//! SVG drawn as PNG.

use std::path::Path;
use std::sync::Arc;

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::fontdb::Source;
use resvg::usvg::{ImageHrefResolver, Options, Tree};

use super::{FigureError, MAX_PIXELS, SCALE};

/// Letters for every family that an SVG names; machines may have none. Licence: `DejaVuSans.LICENSE.txt`.
static FONT: &[u8] = include_bytes!("DejaVuSans.ttf");
const FAMILY: &str = "DejaVu Sans";

/// The bytes of a PNG.
pub(super) fn drawn(svg: &str, path: &Path) -> Result<Vec<u8>, FigureError> {
    let refused = |reason: String| FigureError::Svg { path: path.to_owned(), reason };
    let mut options = Options {
        font_family: FAMILY.to_owned(),
        // Figures are whole: a file or address in one comes from elsewhere and is not opened.
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    let fonts = options.fontdb_mut();
    fonts.load_font_source(Source::Binary(Arc::new(FONT)));
    fonts.set_sans_serif_family(FAMILY);
    // What is used for families that are not there.
    fonts.set_serif_family(FAMILY);
    fonts.set_monospace_family(FAMILY);
    let tree = Tree::from_str(svg, &options).map_err(|error| refused(error.to_string()))?;
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(pixels);
    let too_large = || FigureError::Size { path: path.to_owned(), width, height };
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(too_large());
    }
    let [Ok(wide), Ok(high)] = [width, height].map(u32::try_from) else { return Err(too_large()) };
    let mut pixmap = Pixmap::new(wide, high).ok_or_else(too_large)?;
    pixmap.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| refused(error.to_string()))
}

/// Whole pixels of a length, at least one.
fn pixels(length: f32) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lengths are positive, and casts saturate"
    )]
    let pixels = (f64::from(length) * f64::from(SCALE)).ceil() as u64;
    pixels.max(1)
}
