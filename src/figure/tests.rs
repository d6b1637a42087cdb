use std::fs;

use resvg::tiny_skia::Pixmap;

use super::*;

fn svg(size: (u32, u32), body: &str) -> String {
    let (width, height) = size;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\">{body}</svg>"
    )
}

fn png(text: &str) -> Result<Pixmap, FigureError> {
    png::drawn(text, Path::new("x.png")).map(|bytes| Pixmap::decode_png(&bytes).unwrap())
}

/// Pixels that are not white.
fn inked(pixmap: &Pixmap) -> usize {
    pixmap
        .pixels()
        .iter()
        .filter(|pixel| (pixel.red(), pixel.green(), pixel.blue()) != (255, 255, 255))
        .count()
}

#[test]
fn the_extension_decides() {
    let folder = tempfile::tempdir().unwrap();
    let text = svg((40, 30), "<rect x=\"10\" y=\"10\" width=\"20\" height=\"10\" fill=\"#f00\"/>");
    for name in ["a.svg", "b.SVG", "c.png", "d.PNG"] {
        let path = folder.path().join(name);
        FigureFile::create(&path, &OutputRules::default()).unwrap().write(&text).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.starts_with(b"\x89PNG\r\n"), name.to_ascii_lowercase().ends_with("png"), "{name}");
        assert_eq!(bytes == text.as_bytes(), name.to_ascii_lowercase().ends_with("svg"), "{name}");
        let again = FigureFile::create(&path, &OutputRules::default()).unwrap_err();
        assert!(matches!(again, FigureError::Output(OutputError::Exists { .. })) && !again.is_usage());
    }
    for name in ["a", "a.pdf", "png", ".svg", "a.svg.gz", "-", "/dev/stdout"] {
        let error = FigureFile::create(Path::new(name), &OutputRules::default()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(".svg or .png"), "{name}: {error}");
    }
}

#[test]
fn a_png_has_two_pixels_per_unit_and_the_colours_of_the_svg() {
    let pixmap =
        png(&svg((40, 30), "<rect x=\"10\" y=\"10\" width=\"20\" height=\"10\" fill=\"#f00\"/>")).unwrap();
    assert_eq!((pixmap.width(), pixmap.height()), (80, 60));
    let at = |x, y| pixmap.pixel(x, y).map(|pixel| (pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()));
    assert_eq!(at(0, 0), Some((255, 255, 255, 255)));
    assert_eq!(at(20, 20), Some((255, 0, 0, 255)));
    assert_eq!(at(59, 39), Some((255, 0, 0, 255)));
    assert_eq!(at(60, 40), Some((255, 255, 255, 255)));
    assert_eq!(inked(&pixmap), 40 * 20);
}

#[test]
fn letters_are_drawn_without_a_font_on_the_machine() {
    for family in ["sans-serif", "serif", "monospace", "system-ui", "No Such Font"] {
        for text in ["BRCA1", "−0.5 ± 0.1", "◆ ○ → ≥ × µ", "Spearman ρ"] {
            let body = format!("<text x=\"5\" y=\"20\" font-family=\"{family}\">{text}</text>");
            assert!(inked(&png(&svg((200, 30), &body)).unwrap()) > 100, "{family}: {text}");
        }
    }
    // A letter that the font lacks is a box, not a gap.
    assert!(inked(&png(&svg((200, 30), "<text x=\"5\" y=\"20\">細</text>")).unwrap()) > 20);
}

#[test]
fn what_a_figure_refers_to_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("red.svg");
    fs::write(&image, svg((10, 10), "<rect width=\"10\" height=\"10\" fill=\"#f00\"/>")).unwrap();
    for address in [image.to_string_lossy().into_owned(), format!("file://{}", image.display())] {
        let body = format!("<image width=\"10\" height=\"10\" xlink:href=\"{address}\" href=\"{address}\"/>");
        assert_eq!(inked(&png(&svg((10, 10), &body)).unwrap()), 0, "{address}");
    }
}

#[test]
fn what_cannot_be_drawn_is_an_error_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    for text in ["", "no", "<svg", &svg((0, 0), ""), &svg((10_000, 10_000), ""), &svg((4_000_000_000, 1), "")]
    {
        let file = FigureFile::create(&path, &OutputRules::default()).unwrap();
        let error = file.write(text).unwrap_err();
        assert!(error.to_string().contains("write .svg instead") && !error.is_usage(), "{text}: {error}");
        assert!(!path.exists());
    }
}
