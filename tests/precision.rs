//! Scores rounded to eight significant bits.

use std::path::Path;

use crate::programs::{fails, ok, rows, said, store};

/// The number with eight significant bits that is nearest, by its definition.
fn nearest(value: f32) -> f32 {
    let value = f64::from(value);
    if value == 0.0 {
        return 0.0;
    }
    let unit = (value.abs().log2().floor() - 7.0).exp2();
    ((value / unit).round_ties_even() * unit) as f32
}

/// Variants with their numbers in `columns`.
fn numbers(root: &Path, track: &str, columns: &[&str]) -> Vec<(String, Vec<f32>)> {
    let tsv = ok(&format!("query {{}} --track {track} --format tsv"), &[root]);
    let key = |row: &std::collections::HashMap<String, String>| {
        ["contig", "position", "reference", "alternate"].map(|name| row[name].clone()).join("-")
    };
    let number = |text: &String| text.parse::<f32>().unwrap_or(f32::MAX);
    rows(&tsv)
        .iter()
        .map(|row| (key(row), columns.iter().map(|name| number(&row[*name])).collect()))
        .collect()
}

fn files(root: &Path, track: &str) -> Vec<u64> {
    let folder = root.join(format!("scores/track={track}/contig=chr1"));
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect()
}

#[test]
fn relative_rounding_keeps_eight_significant_bits_of_each_score() {
    let folder = tempfile::tempdir().unwrap();
    let (root, _) = store(folder.path());
    let options = "--model small --window 120 --device cpu --threads 1 --quiet --score llr";
    let relative = format!("score {{}} {options} --precision 16bit-relative --track short");
    ok(&format!("score {{}} {options} --region chr1:201-900 --track exact"), &[&root]);
    ok(&format!("{relative} --region chr1:201-300"), &[&root]);
    ok(&format!("{relative} --region chr1:301-900"), &[&root]);
    let before = files(&root, "short").len();
    ok("compact {}", &[&root]);
    let after = files(&root, "short").len();
    assert!(before > 1 && after == 1, "{before} and {after} segments");

    let columns = ["llr", "llr_forward", "llr_reverse"];
    let (exact, short) = (numbers(&root, "exact", &columns), numbers(&root, "short", &columns));
    assert_eq!(exact.len(), 2100);
    let mut expected = exact.clone();
    expected.iter_mut().flat_map(|(_, values)| values).for_each(|value| *value = nearest(*value));
    assert_eq!(short, expected);
    assert_ne!(short, exact);
    let [of_exact, of_short]: [u64; 2] = ["exact", "short"].map(|track| files(&root, track).iter().sum());
    assert!(3 * of_short < 2 * of_exact, "{of_short} and {of_exact} bytes");

    // What is scored is skipped, and recomputed scores agree.
    assert!(said(&(relative.replace(" --quiet", "") + " --region chr1:201-900"), &[&root]).contains("2,100"));
    assert_eq!(numbers(&root, "short", &columns), short);
    let text = said("verify {} --rescore 100", &[&root]);
    assert!(text.contains("track short: ") && text.contains("100 rows rescored, 0 values differ"), "{text}");
    let loss = "precision 16bit-relative (changed by at most 1/256 of itself)";
    let (variant, _) = &short[0];
    let explained = ok(&format!("explain {{}} {variant} --track short"), &[&root]);
    assert!(explained.contains(loss), "{explained}");

    // An import rounds to the same; rounding what is rounded changes nothing.
    for (from, name) in [("exact", "taken"), ("short", "again")] {
        let table = folder.path().join(format!("{from}.tsv"));
        ok(&format!("query {{}} --track {from} --format tsv -o {{}}"), &[&root, &table]);
        ok(
            &format!(
                "import {{}} --track {name} {{}} --columns llr,llr_forward,llr_reverse --precision 16bit-relative"
            ),
            &[&root, &table],
        );
        assert_eq!(numbers(&root, name, &columns), short, "{name}");
        let header = ok(&format!("query {{}} chr1:201 --track {name} --format vcf"), &[&root]);
        assert!(header.contains(loss), "{header}");
    }
}

#[test]
fn other_precisions_are_refused_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let (root, _) = store(folder.path());
    let table = folder.path().join("table.tsv");
    std::fs::write(&table, "contig\tposition\treference\talternate\tx\n").unwrap();
    for text in ["16bit", "auto", "0", "-1", "nan", "16BIT-RELATIVE"] {
        let expected =
            format!("invalid precision `{text}`; expected a positive step such as 0.001, or 16bit-relative");
        let score = format!("score {{}} --model small --region chr1:201 --precision={text}");
        assert!(fails(2, &score, &[&root]).contains(&expected), "{text}");
        let import = format!("import {{}} --track x {{}} --precision={text}");
        assert!(fails(2, &import, &[&root, &table]).contains(&expected), "{text}");
    }
}
