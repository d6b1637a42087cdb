//! What commands write, where people tell them to: never over an input, into a store or over a file that exists.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::{command, fails, ok, said, store, vcf, vestore};

/// A store with a track `t` of two rows, its reference, and the file that was imported.
fn imported(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let (reference, store, table) = (folder.join("r.fa"), folder.join("s"), folder.join("in.tsv"));
    fs::write(
        &reference,
        ">chr1\nACGTTGCATCGGATCCATGCAAGTCTTAGACGATCAGGCTTACCAGTA\n>chr2\nACGTACGTACGTACGT\n",
    )
    .unwrap();
    fs::write(&table, "chrom\tpos\tref\talt\tscore\nchr1\t5\tT\tA\t0.5\nchr1\t6\tG\tA\t0.25\n").unwrap();
    ok("init {} --reference {}", &[&store, &reference]);
    ok("import {} --track t {}", &[&store, &table]);
    (store, reference, table)
}

/// Names and contents of all files below a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn no_command_writes_into_a_store_over_an_input_or_to_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let (store, reference, _) = imported(folder.path());
    let variants = folder.path().join("v.vcf");
    vcf(&variants, &[("chr1", 5, "T".to_owned(), "A".to_owned())]);
    let before = files(folder.path());
    let catalog = store.join("catalog.redb");
    for words in [
        "query {} --format tsv --force -o {}",
        "query {} --format parquet --force -o {}",
        "export {} --format tsv --force -o {}",
        "export {} --format arrow --force -o {}",
        "export {} --format bedgraph --force -o {}",
        "export {} --format bigwig --force -o {}",
        "diff {} t t --force --plot {}",
    ] {
        for path in [&catalog, &store.join("scores/new"), &reference, &folder.path().join("r.fa.fai")] {
            let told = fails(1, words, &[&store, path]);
            assert!(
                told.contains("lies in a vestore store") || told.contains("overwrite an input"),
                "{told}"
            );
        }
        assert!(fails(2, words, &[&store, Path::new("s3://bucket/x")]).contains("not a local path"));
    }
    let inside = store.join("out.vcf");
    for (output, wanted) in [(&variants, "overwrite an input"), (&inside, "lies in a vestore store")] {
        let told = fails(1, "annotate {} {} {} --force", &[&store, &variants, output]);
        assert!(told.contains(wanted), "{told}");
    }
    let told = fails(1, "query {} --variants {} --force -o {}", &[&store, &variants, &variants]);
    assert!(told.contains("overwrite an input"), "{told}");
    assert!(fails(1, "export {} --format parquet -o {}", &[&store, &store.join("h/")]).contains("store"));
    assert!(files(folder.path()) == before, "something was written");
}

#[test]
fn what_exists_is_replaced_only_by_force_and_a_failure_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = imported(folder.path());
    let at = |name: &str| folder.path().join(name);
    for (words, name) in [
        ("query {} --format tsv -o {}", "a.tsv"),
        ("export {} --format vcf -o {}", "a.vcf.gz"),
        ("export {} --format bigwig -o {}", "a.bw"),
        ("export {} --format parquet -o {}", "hive/"),
        ("diff {} t t --plot {}", "a.svg"),
        ("diff {} t t --plot {}", "a.png"),
    ] {
        ok(words, &[&store, &at(name)]);
        let before = files(folder.path());
        assert!(fails(1, words, &[&store, &at(name)]).contains("--force"), "{words}");
        assert!(files(folder.path()) == before, "{words}");
        ok(&format!("{words} --force"), &[&store, &at(name)]);
        assert!(files(folder.path()) == before, "{words}");
    }
    // An index that lies beside nothing is somebody's file too.
    fs::remove_file(at("a.vcf.gz")).unwrap();
    assert!(fails(1, "export {} --format vcf -o {}", &[&store, &at("a.vcf.gz")]).contains("a.vcf.gz.tbi"));
    // A disk that is full, so to say: the failure is told, and nothing is left of any output.
    let before = files(folder.path());
    for words in
        ["export S --format parquet -o new/", "query S --format arrow -o new", "export S --format tsv -o new"]
    {
        let script =
            format!("trap '' XFSZ; ulimit -f 0; exec {} {words}", vestore().display()).replace(" S ", " s ");
        let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(files(folder.path()) == before && !at("new").exists(), "{words}");
    }
    // Leftovers of somebody else are neither adopted nor touched.
    fs::create_dir_all(at("other.partial/track=t/contig=chr1")).unwrap();
    fs::write(at("other.partial/track=t/contig=chr1/000000000000.parquet"), "junk").unwrap();
    ok("export {} --format parquet -o {}", &[&store, &at("other/")]);
    assert!(files(&at("other")).iter().all(|(_, bytes)| bytes.starts_with(b"PAR1")));
    assert_eq!(fs::read(at("other.partial/track=t/contig=chr1/000000000000.parquet")).unwrap(), b"junk");
    fs::write(at("hive/track=t/notes.txt"), "mine").unwrap();
    let told = fails(1, "export {} --format parquet -o {} --force", &[&store, &at("hive/")]);
    assert!(told.contains("notes.txt"), "{told}");
}

#[test]
fn an_interrupted_output_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = imported(folder.path());
    let before = files(folder.path());
    let output = folder.path().join("out.vcf");
    // It waits for the rest of its input, with its output open.
    let mut child = command("annotate {} - {}", &[&store, &output]);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let partial = || {
        fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".partial"))
    };
    while !partial() {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
    // Kept open: waiting would close it, and the command would end by itself.
    let input = child.stdin.take();
    let number = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &number]).status().unwrap().success());
    let status = child.wait().unwrap();
    drop(input);
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    assert!(files(folder.path()) == before);
}

#[test]
fn a_report_is_replaced_by_the_same_command_and_an_input_never() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let (variants, report) = (folder.path().join("v.vcf"), folder.path().join("r.tsv"));
    let reference = char::from(bases[999]);
    let alternate = if reference == 'A' { 'C' } else { 'A' };
    let records =
        [("chr1", 1000, reference.to_string(), alternate.to_string()), ("zz", 1, "A".into(), "C".into())];
    vcf(&variants, &records);
    let words =
        "score {} --model small --variants {} --window 60 --device cpu --threads 1 --quiet --report {}";
    let text = fs::read(&variants).unwrap();
    assert!(fails(1, words, &[&store, &variants, &variants]).contains("overwrite an input"));
    assert_eq!(fs::read(&variants).unwrap(), text);
    let weights = folder.path().join("model/model.safetensors");
    let told = fails(1, &format!("{words} --force"), &[&store, &variants, &weights]);
    assert!(told.contains("overwrite an input"), "{told}");
    for _ in 0..2 {
        said(words, &[&store, &variants, &report]);
        assert!(fs::read_to_string(&report).unwrap().contains("unknown_contig"));
    }
    fs::write(&report, "mine\n").unwrap();
    assert!(fails(1, words, &[&store, &variants, &report]).contains("--force"));
    assert_eq!(fs::read_to_string(&report).unwrap(), "mine\n");
    said(&format!("{words} --force"), &[&store, &variants, &report]);
    assert!(fs::read_to_string(&report).unwrap().contains("unknown_contig"));
}

#[test]
fn a_failed_import_leaves_its_name_free() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, table) = imported(folder.path());
    let empty = folder.path().join("empty.tsv");
    fs::write(&empty, "chrom\tpos\tref\talt\tscore\nchr1\t5\tT\tA\t\n").unwrap();
    assert!(
        fails(1, "import {} --track u {} --columns score", &[&store, &empty])
            .contains("nothing was imported")
    );
    assert!(!ok("track list {} --format json", &[&store]).contains("\"u\""));
    ok("import {} --track u {} --columns other=score", &[&store, &table]);
    assert!(ok("query {} --track u --format tsv", &[&store]).contains("other"));
}

/// Remarks that nobody can read stop nothing.
#[test]
fn a_stderr_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let score = "score {} --model small --region chr1:101-120 --window 48 --device cpu --threads 1";
    for (words, code) in [(score, 0), ("info {}", 0), ("query {} --track none", 1)] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(words, &[&store]).stderr(full).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}");
    }
    assert_eq!(ok("query {} --count", &[&store]).trim(), "60");
}
