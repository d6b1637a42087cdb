//! Files of another assembly are told by their reference alleles and by their headers.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{fails, ok, run, said, store};

struct Made {
    folder: tempfile::TempDir,
    root: PathBuf,
}

/// A store, and files of `rows` variants of `chr1` of which the last `wrong` have another reference allele, as VCF and
/// as a table; `beyond` more lie beyond the contig's end.
fn made(rows: usize, wrong: usize, beyond: usize, header: &str) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let (root, bases) = store(folder.path());
    let mut vcf = format!("##fileformat=VCFv4.2\n{header}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n");
    let mut table = String::from("CHROM\tPOS\tREF\tALT\tlabel\n");
    let next = |base: u8, by: usize| {
        b"ACGT"[(b"ACGT".iter().position(|known| *known == base).unwrap() + by) % 4] as char
    };
    for row in 0..rows + beyond {
        let at = if row < rows { 501 + row } else { 7000 + row };
        let base = bases.get(at - 1).copied().unwrap_or(b'A');
        let shifted = usize::from(row >= rows - wrong && row < rows);
        let (old, new) = (next(base, shifted), next(base, shifted + 1));
        writeln!(vcf, "1\t{at}\t.\t{old}\t{new}\t.\t.\t.").unwrap();
        writeln!(table, "1\t{at}\t{old}\t{new}\t{}", row % 2).unwrap();
    }
    fs::write(folder.path().join("x.vcf"), vcf).unwrap();
    fs::write(folder.path().join("x.tsv"), table).unwrap();
    ok(
        "score {} --model small --region chr1:501-540 --window 120 --device cpu --threads 1 --track t --quiet",
        &[&root],
    );
    Made { folder, root }
}

impl Made {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every command that compares: words and paths. Each writes to `new` and is undone by [`Made::undo`].
    fn commands(&self) -> Vec<(&'static str, Vec<PathBuf>)> {
        let (root, vcf, table) = (self.root.clone(), self.path("x.vcf"), self.path("x.tsv"));
        vec![
            (
                "score {} --model small --variants {} --window 114 --device cpu --threads 1 --track new --quiet",
                vec![root.clone(), vcf.clone()],
            ),
            (
                "ablate {} --model small --variants {} --score llr --window 114 --device cpu --threads 1 --track new --quiet",
                vec![root.clone(), vcf.clone()],
            ),
            ("annotate {} {} {} --track t", vec![root.clone(), vcf.clone(), self.path("out.vcf")]),
            ("import {} --track new {} --quiet", vec![root.clone(), table.clone()]),
            ("evaluate {} --labels {} --track t", vec![root.clone(), table.clone()]),
            ("evaluate {} --labels {} --track baseline:transition", vec![root.clone(), table]),
            ("query {} --variants {} --count", vec![root, vcf]),
        ]
    }

    fn undo(&self) {
        run("track remove {} new", &[&self.root]);
        drop(fs::remove_file(self.path("out.vcf")));
    }

    fn has_track(&self) -> bool {
        ok("track list {}", &[&self.root]).lines().any(|line| line.starts_with("new"))
    }
}

fn paths(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}

#[test]
fn a_file_of_positions_beyond_the_contigs_alone_stops_every_command() {
    let made = made(0, 0, 3, "");
    for (words, of) in made.commands() {
        for words in [words.to_owned(), format!("{words} --ref-mismatch skip")] {
            let text = fails(1, &words, &paths(&of));
            assert!(
                text.contains("lies beyond its end (3 records)") && text.contains("x."),
                "{words}: {text}"
            );
            assert!(!made.has_track() && !made.path("out.vcf").exists(), "{words}");
        }
    }
}

#[test]
fn a_telomere_says_nothing_of_the_assembly() {
    let made = made(0, 0, 0, "");
    let file = made.path("telomere.vcf");
    let header = fs::read_to_string(made.path("x.vcf")).unwrap();
    fs::write(&file, format!("{header}1\t0\t.\tN\tT\t.\t.\t.\n")).unwrap();
    let score =
        "score {} --model small --variants {} --window 114 --device cpu --threads 1 --track new --quiet";
    assert!(said(score, &[&made.root, &file]).contains("nothing to do"));
    ok("annotate {} {} {} --track t", &[&made.root, &file, &made.path("out.vcf")]);
}

#[test]
fn more_than_a_fifth_of_ten_stops_every_command_before_it_writes() {
    let made = made(40, 9, 30, "");
    for (words, of) in made.commands() {
        let text = fails(1, words, &paths(&of));
        for part in ["wrong assembly", "9 of 40 records", "1:532", "REF `", "--ref-mismatch skip", "x."] {
            assert!(text.contains(part), "{words}: {text} lacks {part}");
        }
        assert!(!made.has_track() && !made.path("out.vcf").exists(), "{words}");
        let skipped = said(&format!("{words} --ref-mismatch skip"), &paths(&of));
        assert!(skipped.contains("warning: ") && skipped.contains("9 of 40 records"), "{words}: {skipped}");
        made.undo();
        let first = fails(1, &format!("{words} --ref-mismatch fail"), &paths(&of));
        assert!(first.contains("1:532 has REF `") && first.contains("x."), "{words}: {first}");
        made.undo();
        fails(2, &format!("{words} --ref-mismatch maybe"), &paths(&of));
    }
}

#[test]
fn a_fifth_or_fewer_than_ten_are_a_warning_that_quiet_does_not_hide() {
    for (rows, wrong, told) in [
        (40, 8, "8 of 40 records on known contigs have"),
        (9, 8, "8 of 9 records"),
        (30, 1, "1 of 30 records on known contigs has"),
    ] {
        let made = made(rows, wrong, 0, "");
        for (words, of) in made.commands() {
            let text = said(words, &paths(&of));
            assert!(text.contains("warning: ") && text.contains(told), "{words}: {text}");
            made.undo();
        }
    }
    let made = made(20, 0, 20, "");
    for (words, of) in made.commands() {
        let text = said(words, &paths(&of));
        assert!(!text.contains("reference allele"), "{words}: {text}");
        made.undo();
    }
}

#[test]
fn lengths_of_a_header_that_contradict_the_reference_are_a_warning() {
    let header = "##contig=<length=6001,ID=1>\n##contig=<ID=HLA-A*01:01,length=900>\n";
    let made = made(12, 0, 0, header);
    for (words, of) in made.commands() {
        let text = said(words, &paths(&of));
        let of_vcf = of[1].ends_with("x.vcf");
        let warned = text.contains("contig `1` of length 6001, contig `chr1` of the reference has 6000");
        assert_eq!(warned, of_vcf, "{words}: {text}");
        assert!(!text.contains("HLA"), "{words}: {text}");
        made.undo();
    }
}

#[test]
fn mt_is_the_contig_that_differs_by_chr_alone_unless_the_header_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, root) = (folder.path().join("x.fa"), folder.path().join("store"));
    fs::write(&fasta, ">chr1\nACGTACGTACGT\n>chrM\nACGTACGTACGTACGTAC\n>chrMT\nTTTTTTTTTTTTTTTT\n").unwrap();
    ok("init {} --reference {}", &[&root, &fasta]);
    // MD5 of the 18 bases of chrM, and of the 16 of chrMT.
    let (chr_m, chr_mt) = ("5f6b515b1b96c72dafd78de001e0dc96", "0427606cbfbacf5691976f6d92b63b88");
    for (number, (fields, reference, contig)) in [
        ("", "T", "chrMT"),
        (",length=16", "T", "chrMT"),
        (",length=18", "T", "chrM"),
        (&format!(",length=16,md5={chr_m}") as &str, "T", "chrM"),
        (&format!(",md5={}", chr_mt.to_uppercase()), "T", "chrMT"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join("x.vcf");
        let header = "##fileformat=VCFv4.2\n##INFO=<ID=s,Number=1,Type=Float>\n";
        let columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
        fs::write(
            &path,
            format!("{header}##contig=<ID=MT{fields}>\n{columns}MT\t4\t.\t{reference}\tA\t.\t.\ts=1\n"),
        )
        .unwrap();
        let track = format!("t{number}");
        ok(&format!("import {{}} --track {track} {{}}"), &[&root, &path]);
        let tsv = ok(&format!("query {{}} --track {track} --format tsv"), &[&root]);
        assert_eq!(tsv.lines().nth(1).unwrap().split('\t').next(), Some(contig), "{fields}: {tsv}");
        // A query by the file finds the same row.
        assert_eq!(
            ok(&format!("query {{}} --track {track} --variants {{}} --count"), &[&root, &path]).trim(),
            "1"
        );
    }
    assert_eq!(ok("query {} MT --count", &[&root]).trim(), "3");
    assert_eq!(ok("query {} M --count", &[&root]).trim(), "2");
}
