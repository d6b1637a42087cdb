//! The reference of a store is the one that the store was made with, wherever it lies, or nothing is read of it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::programs::{fails, ok, run, said, store, vcf};

/// Rewrites a file in place under the time that it had before, as copying tools do.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

/// The byte of the base of `chr1` at a 0-based position, lines of 70 behind the header `>chr1`.
fn byte_of(position: usize) -> usize {
    6 + position / 70 * 71 + position % 70
}

struct Made {
    folder: tempfile::TempDir,
    root: PathBuf,
    fasta: PathBuf,
    bases: Vec<u8>,
    variants: PathBuf,
    labels: PathBuf,
    table: PathBuf,
}

/// A store with a scored track `t`, and files of twelve variants of `chr1`, one of them a deletion.
fn made() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let (root, bases) = store(folder.path());
    let base = |position: usize| char::from(bases[position - 1]);
    let other = |position: usize| if base(position) == 'A' { 'C' } else { 'A' };
    let path = |name: &str| folder.path().join(name);
    let mut records: Vec<(&str, u32, String, String)> = (0..11)
        .map(|number| 1000 + 10 * number)
        .map(|at| ("chr1", at as u32, base(at).to_string(), other(at).to_string()))
        .collect();
    let deleted =
        (1200..3000).find(|at| base(*at) != base(*at + 1) && base(*at + 1) != base(*at + 2)).unwrap();
    let pair = String::from_utf8(bases[deleted - 1..=deleted].to_vec()).unwrap();
    records.push(("chr1", deleted as u32, pair, base(deleted).to_string()));
    vcf(&path("x.vcf"), &records);
    let (mut labels, mut table) =
        (String::from("CHROM\tPOS\tREF\tALT\tlabel\n"), String::from("chrom\tpos\tref\talt\tscore\n"));
    for (row, (contig, position, reference, alternate)) in records.iter().enumerate() {
        writeln!(labels, "{contig}\t{position}\t{reference}\t{alternate}\t{}", row % 2).unwrap();
        writeln!(table, "{contig}\t{position}\t{reference}\t{alternate}\t{row}.5").unwrap();
    }
    fs::write(path("labels.tsv"), labels).unwrap();
    fs::write(path("table.tsv"), table).unwrap();
    ok("score {} --model small --variants {} --window 120 --track t --quiet", &[&root, &path("x.vcf")]);
    let (variants, labels, table, fasta) =
        (path("x.vcf"), path("labels.tsv"), path("table.tsv"), path("genome.fa"));
    Made { folder, root, fasta, bases, variants, labels, table }
}

impl Made {
    /// Every command that reads bases: words and paths.
    fn readers(&self) -> Vec<(String, Vec<&Path>)> {
        let Self { root, variants, labels, table, .. } = self;
        let out = "--device cpu --threads 1 --window 114 --quiet";
        vec![
            (format!("score {{}} --model small --variants {{}} --track new {out}"), vec![root, variants]),
            (format!("score {{}} --model small --region chr1:2000-2003 --track new {out}"), vec![root]),
            (
                format!("ablate {{}} --model small --variants {{}} --score llr --track new {out}"),
                vec![root, variants],
            ),
            ("query {} --variants {} --count".to_owned(), vec![root, variants]),
            ("query {} chr1-1200-AC-A --count".to_owned(), vec![root]),
            ("annotate {} {} -".to_owned(), vec![root, variants]),
            ("import {} --track new {}".to_owned(), vec![root, table]),
            ("evaluate {} --labels {} --track t".to_owned(), vec![root, labels]),
            ("evaluate {} --labels {} --track baseline:cpg".to_owned(), vec![root, labels]),
            ("verify {}".to_owned(), vec![root]),
            ("verify {} --rescore 5".to_owned(), vec![root]),
        ]
    }
}

#[test]
fn other_bases_of_the_same_names_lengths_and_times_are_read_by_nobody() {
    let made = made();
    // Far from every variant: it is the contig that counts.
    let place = byte_of(40);
    let right = fs::read(&made.fasta).unwrap();
    for (what, masked) in [("a base", false), ("hard-masked", true)] {
        rewrite(&made.fasta, |bytes| {
            if masked {
                bytes[place..place + 20].fill(b'N');
            } else {
                bytes[place] = if bytes[place] == b'A' { b'C' } else { b'A' };
            }
        });
        for (words, paths) in made.readers() {
            let output = run(&words, &paths);
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(1), "{what}, {words}: {text}");
            for part in ["contig `chr1`", "genome.fa", "SQ.", "vestore reference set", "--reference"] {
                assert!(text.contains(part), "{what}, {words}: {text} lacks {part}");
            }
        }
        assert_eq!(ok("query {} --track t --count", &[&made.root]).trim(), "12");
        rewrite(&made.fasta, |bytes| bytes.clone_from(&right));
    }
    // A soft mask changes no base.
    rewrite(&made.fasta, |bytes| bytes[place..place + 60].make_ascii_lowercase());
    for (words, paths) in made.readers() {
        let output = run(&words, &paths);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        run("track remove {} new", &[&made.root]);
    }
}

#[test]
fn what_was_checked_once_is_not_trusted_once_the_index_or_the_cache_is_forged() {
    let made = made();
    ok("query {} --variants {} --count", &[&made.root, &made.variants]);
    // An index that fits and is wrong is built anew: shorter lines, of which no line end stands in the way.
    let index = made.folder.path().join("genome.fa.fai");
    let wanted = fs::read_to_string(&index).unwrap();
    fs::write(&index, wanted.replace("\t70\t71\n", "\t35\t36\n")).unwrap();
    ok("query {} --variants {} --count", &[&made.root, &made.variants]);
    assert_eq!(fs::read_to_string(&index).unwrap(), wanted);
    // Caches of other content, as a crash or another program may leave them.
    let cache = made.folder.path().join("cache");
    let with_cache = |words: &str, paths: &[&Path]| {
        crate::programs::command(words, paths).env("VESTORE_CACHE", &cache).output().unwrap()
    };
    let count = |text: &[u8]| String::from_utf8_lossy(text).trim().to_owned();
    // What changed a moment ago is not remembered yet.
    let remembered = (0..100).any(|_| {
        with_cache("query {} --variants {} --count", &[&made.root, &made.variants]);
        cache.join("references").exists()
    });
    assert!(remembered);
    for _ in 0..3 {
        let output = with_cache("query {} --variants {} --count", &[&made.root, &made.variants]);
        assert_eq!(count(&output.stdout), "12");
        for entry in fs::read_dir(cache.join("references")).unwrap() {
            fs::write(entry.unwrap().path(), b"{\"path\":").unwrap();
        }
    }
    fs::remove_dir_all(&cache).unwrap();
    fs::write(&cache, b"not a folder").unwrap();
    let output = with_cache("query {} --variants {} --count", &[&made.root, &made.variants]);
    assert_eq!(count(&output.stdout), "12");
    // A file changed after it was cached, with its old time.
    fs::remove_file(&cache).unwrap();
    std::fs::create_dir(&cache).unwrap();
    assert_eq!(
        count(&with_cache("query {} --variants {} --count", &[&made.root, &made.variants]).stdout),
        "12"
    );
    rewrite(&made.fasta, |bytes| bytes[byte_of(3020)] = b'A');
    let output = with_cache("query {} --variants {} --count", &[&made.root, &made.variants]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_reference_may_move() {
    let made = made();
    let moved = made.folder.path().join("moved.fa");
    fs::rename(&made.fasta, &moved).unwrap();
    let missing = fails(1, "query {} --variants {}", &[&made.root, &made.variants]);
    for part in ["is missing", "genome.fa", "vestore reference set", "--reference"] {
        assert!(missing.contains(part), "{missing}");
    }
    // SNVs can be annotated without; that nothing was compared is said.
    let snvs = made.folder.path().join("snvs.vcf");
    let text = fs::read_to_string(&made.variants).unwrap();
    fs::write(&snvs, text.lines().take(13).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    assert!(
        said("annotate {} {} -", &[&made.root, &snvs])
            .contains("warning: reference alleles were not checked")
    );
    let verified = said("verify {}", &[&made.root]);
    assert!(
        verified.contains("remark: the reference was not checked") && verified.contains("0 damaged"),
        "{verified}"
    );
    // For one command, then for good.
    assert_eq!(
        ok("query {} --variants {} --reference {} --count", &[&made.root, &made.variants, &moved]).trim(),
        "12"
    );
    fails(1, "query {} --variants {} --count", &[&made.root, &made.variants]);
    let wrong = made.folder.path().join("wrong.fa");
    let mut bytes = fs::read(&moved).unwrap();
    bytes[byte_of(40)] = if bytes[byte_of(40)] == b'G' { b'T' } else { b'G' };
    fs::write(&wrong, bytes).unwrap();
    for words in ["reference set {} {}", "verify {} --reference {}"] {
        let output = run(words, &[&made.root, &wrong]);
        assert_eq!(output.status.code(), Some(1), "{words}");
    }
    let said_of = said("reference set {} {}", &[&made.root, &moved]);
    assert!(said_of.contains("moved.fa") && said_of.contains("3 contigs"), "{said_of}");
    assert_eq!(ok("query {} --variants {} --count", &[&made.root, &made.variants]).trim(), "12");
    assert!(ok("info {}", &[&made.root]).contains("moved.fa"));
}

#[test]
fn a_copied_reference_moves_with_its_store() {
    let made = made();
    let root = made.folder.path().join("copied");
    // What a run that was cut short leaves is not a hindrance.
    fs::create_dir_all(root.join("reference")).unwrap();
    fs::write(root.join("reference/genome.fa.gz.partial"), b"half").unwrap();
    let told = said("init {} --reference {} --copy", &[&root, &made.fasta]);
    assert!(told.contains("copied to"), "{told}");
    let mut names: Vec<String> = fs::read_dir(root.join("reference"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["genome.fa.gz", "genome.fa.gz.fai", "genome.fa.gz.gzi"]);
    fs::rename(&made.fasta, made.folder.path().join("elsewhere.fa")).unwrap();
    let moved = made.folder.path().join("moved");
    fs::rename(&root, &moved).unwrap();
    ok("import {} --track x {}", &[&moved, &made.table]);
    let tsv = ok("query {} chr1 --format tsv", &[&moved]);
    assert_eq!(tsv.lines().count(), 13, "{tsv}");
    assert!(
        tsv.lines().skip(1).all(|line| line.ends_with("\tscored\t0.5") || line.contains("\tscored\t")),
        "{tsv}"
    );
    assert!(said("verify {}", &[&moved]).contains("3 contigs checked"));
    // Nothing outside is reached through a link.
    let (inside, outside) = (moved.join("reference/genome.fa.gz"), made.folder.path().join("outside.fa.gz"));
    fs::rename(&inside, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &inside).unwrap();
    fails(1, "query {} --variants {}", &[&moved, &made.variants]);
    // Something else in the folder is somebody's.
    let other = made.folder.path().join("other");
    fs::create_dir_all(other.join("reference")).unwrap();
    fs::write(other.join("reference/notes.txt"), b"mine").unwrap();
    fails(1, "init {} --reference {} --copy", &[&other, &outside]);
    assert_eq!(fs::read(other.join("reference/notes.txt")).unwrap(), b"mine");
}

#[test]
fn of_what_a_store_names_as_its_reference_nothing_is_shown() {
    let made = made();
    let modified = SystemTime::UNIX_EPOCH;
    fs::write(&made.fasta, b"root:secret\n").unwrap();
    fs::File::options().write(true).open(&made.fasta).unwrap().set_modified(modified).unwrap();
    fs::remove_file(made.folder.path().join("genome.fa.fai")).unwrap();
    for (words, paths) in made.readers() {
        let output = run(&words, &paths);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.code() == Some(1) && !text.contains("secret"), "{words}: {text}");
    }
    assert!(made.bases.len() > 5000);
}
