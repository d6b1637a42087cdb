//! Files that are not what they should be, through the command line: an error with file, line and remedy, or a
//! report; never a panic.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{fails, ok, rows, run, said, store, workspace};

/// A real file, where it is present.
fn data_file(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("VESTORE_DATA").map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "who reads the log should know what was not tried")]
    {
        eprintln!("skipped: {} is absent", path.display());
    }
    None
}

/// Runs a verb on a file; it may fail, but must say so.
fn told(words: &str, paths: &[&Path]) -> (bool, String) {
    let output = run(words, paths);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !said.contains("panicked") && output.status.code().is_some_and(|code| code < 2),
        "{words}: {said}"
    );
    assert!(output.status.success() || !said.trim().is_empty(), "{words} failed in silence");
    (output.status.success(), said)
}

#[test]
fn real_messy_files_are_taken_or_refused_by_name() {
    let Some(genome) = data_file("genome/GRCh37.mini.fa.gz") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (store, model, out) =
        (folder.path().join("s"), folder.path().join("model"), folder.path().join("out.vcf"));
    crate::programs::checkpoint(
        &model,
        "nucleotide-transformer-v2",
        "--layers 1 --hidden 16 --heads 2 --intermediate 16 --seed 5",
    );
    said("init {} --reference {}", &[&store, &genome]);
    said("model add {} small --checkpoint {}", &[&store, &model]);
    let strange = data_file("vcf/messy/1000G_phase3.chr20_1-2Mb.contig-z.vcf.gz");
    let undeclared = data_file("vcf/messy/ExAC.r1.b37.chr22_ADA2-GAB4.sites.vep.vcf.gz");
    let dry = "score {} --model small --window 96 --device cpu --dry-run --variants {}";
    if let Some(file) = strange {
        for words in [dry, "import {} --track t --columns AF {}", "query {} --variants {}"] {
            let message = fails(1, words, &[&store, &file]);
            assert!(message.contains("contig-z.vcf.gz") && message.contains("`z`"), "{words}: {message}");
        }
        assert!(fails(1, "annotate {} {} {}", &[&store, &file, &out]).contains("`z`"));
    }
    if let Some(file) = undeclared {
        let (done, said) = told(dry, &[&store, &file]);
        assert!(done && said.contains("variants to score"), "{said}");
        let (done, said) = told("import {} --track exac --columns AF {}", &[&store, &file]);
        assert!(done && said.contains("rows written"), "{said}");
        let (done, said) = told("annotate {} {} {}", &[&store, &file, &out]);
        assert!(done, "{said}");
        let annotated = fs::read_to_string(&out).unwrap();
        assert!(annotated.lines().filter(|line| !line.starts_with('#')).all(|line| line.contains("exac")));
        assert!(told("query {} --count --variants {}", &[&store, &file]).0);
    }
}

#[test]
fn broken_files_are_refused_with_file_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let base = |position: usize| bases[position - 1] as char;
    let header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
    let good = format!("{header}chr1\t500\t.\t{}\tN\t.\tNEVER\tUNDECLARED=1\n", base(500));
    let other = |position: usize| if base(position) == 'A' { 'C' } else { 'A' };
    let wrong_build: String = (600..640).fold(header.to_owned(), |mut text, position| {
        writeln!(text, "chr1\t{position}\t.\t{}\tG\t.\t.\t.", other(position)).unwrap();
        text
    });
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut writer, bytes).unwrap();
        writer.finish().unwrap()
    };
    let cut = gzip(good.repeat(50).as_bytes());
    let scores = folder.path().join("scores.tsv");
    fs::write(&scores, format!("chrom\tpos\tref\talt\tscore\nchr1\t500\t{}\t{}\t1\n", base(500), other(500)))
        .unwrap();
    said("import {} --track own {}", &[&store, &scores]);
    let dry = "score {} --model small --window 96 --device cpu --dry-run --variants {}";
    let mut flipped = gzip(good.repeat(50).as_bytes());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let cases: [(&str, Vec<u8>, Option<&str>); 12] = [
        ("undeclared.vcf", good.clone().into_bytes(), None),
        ("crlf.vcf", good.replace('\n', "\r\n").into_bytes(), None),
        ("cr.vcf", good.replace('\n', "\r").into_bytes(), Some("carriage returns")),
        ("bom.vcf", format!("\u{feff}{good}").into_bytes(), None),
        ("flipped.vcf.gz", flipped, Some("copy it again")),
        ("unsorted.vcf", format!("{good}chr1\t20\t.\t{}\tG\t.\t.\t.\n", base(20)).into_bytes(), None),
        (
            "alleles.vcf",
            format!("{header}chr1\t500\t.\t{}\t{}N\t.\t.\t.\n", base(500), "N,".repeat(1000)).into_bytes(),
            None,
        ),
        ("plain.vcf.gz", gzip(good.as_bytes()), None),
        ("cut.vcf.gz", cut[..cut.len() / 2].to_vec(), Some("truncated")),
        ("build.vcf", wrong_build.into_bytes(), Some("--ref-mismatch")),
        ("columns.vcf", format!("{header}chr1 500 . A C\n").into_bytes(), Some("line 3")),
        ("binary.vcf", (0..=255).collect(), Some("line 1")),
    ];
    for (name, bytes, refusal) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        if name == "plain.vcf.gz" {
            fs::write(folder.path().join("plain.vcf.gz.tbi"), b"stale").unwrap();
        }
        let (done, said) = told(dry, &[&store, &path]);
        match refusal {
            None => assert!(done, "{name}: {said}"),
            Some(part) => assert!(!done && said.contains(part) && said.contains(name), "{name}: {said}"),
        }
        let (annotated, said) =
            told("annotate {} {} {} --force", &[&store, &path, &folder.path().join("out.vcf")]);
        assert!(annotated == refusal.is_none() && !said.contains("panicked"), "{name}: {said}");
        told("import {} --track x --columns AF {}", &[&store, &path]);
        told("query {} --count --variants {}", &[&store, &path]);
    }
}

#[test]
fn paths_never_leave_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let table = folder.path().join("scores.tsv");
    let alternate = if bases[499] == b'A' { 'C' } else { 'A' };
    fs::write(
        &table,
        format!("chrom\tpos\tref\talt\tscore\nchr1\t500\t{}\t{alternate}\t1\n", bases[499] as char),
    )
    .unwrap();
    for name in ["../outside", "a/b", ".hidden", "a\\..\\b"] {
        let message = fails(2, &format!("import {{}} --track {name} {{}}"), &[&store, &table]);
        assert!(message.contains(name), "{message}");
    }
    // A link that somebody laid into the store leads nobody out of it.
    let outside = folder.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    let bystander = outside.join("000000000001.parquet");
    fs::write(&bystander, b"mine").unwrap();
    fs::create_dir_all(store.join("scores")).unwrap();
    std::os::unix::fs::symlink(&outside, store.join("scores/track=link")).unwrap();
    said("import {} --track t {}", &[&store, &table]);
    said("compact {}", &[&store]);
    assert_eq!(fs::read(&bystander).unwrap(), b"mine");
}

#[test]
fn weights_that_are_no_numbers_never_become_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let model = folder.path().join("model");
    let weights = model.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for number in bytes[data..].chunks_exact_mut(4) {
        number.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    fs::write(&weights, bytes).unwrap();
    said("model add {} nan --checkpoint {}", &[&store, &model]);
    said(
        "score {} --model nan --window 96 --device cpu --track t --score llr,distance --region chr1:101-120",
        &[&store],
    );
    let answer = ok("query {} --format tsv", &[&store]);
    let found = rows(&answer);
    assert_eq!(found.len(), 20 * 3);
    for row in found {
        assert_eq!(row["status"], "non_finite", "{row:?}");
        assert!(["llr", "cosine"].iter().all(|column| row[*column].is_empty()), "{row:?}");
    }
}
