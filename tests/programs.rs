//! The two programs under test, and what they are fed with.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use crate::support::Random;

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `vestore`, after making sure that no program under test is older than its sources.
pub(crate) fn vestore() -> PathBuf {
    let vestore = PathBuf::from(env!("CARGO_BIN_EXE_vestore"));
    let library = ["schema/src", "src"];
    fresh(&vestore, &library, &[]);
    fresh(
        &vestore.with_file_name("vestore-ingest"),
        &[&library[..], &["ingest/src", "src/cli/shared.rs", "src/cli/reference_arguments.rs"]].concat(),
        &["src/cli", "src/main.rs", "src/cli.rs"],
    );
    vestore
}

fn fresh(program: &Path, sources: &[&str], except: &[&str]) {
    let built =
        modified(program).unwrap_or_else(|| panic!("{} is missing: run `make build`", program.display()));
    let except: Vec<PathBuf> = except.iter().map(|path| workspace().join(path)).collect();
    for source in sources {
        let newest = newest(&workspace().join(source), &except);
        assert!(newest <= built, "{} is older than {source}: run `make build`", program.display());
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn newest(path: &Path, except: &[PathBuf]) -> SystemTime {
    if except.iter().any(|skipped| skipped == path) {
        return SystemTime::UNIX_EPOCH;
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| newest(&entry.unwrap().path(), except));
        return entries.max().unwrap_or(SystemTime::UNIX_EPOCH);
    }
    modified(path).unwrap()
}

/// Width and height of a PNG in pixels.
pub(crate) fn png_size(path: &Path) -> [u32; 2] {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") && bytes.ends_with(b"IEND\xaeB`\x82"));
    [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
}

/// Runs `vestore` with words separated by spaces, of which `{}` are replaced by `paths` in order.
pub(crate) fn run(words: &str, paths: &[&Path]) -> Output {
    command(words, paths).output().unwrap()
}

/// As [`run`], not started yet.
pub(crate) fn command(words: &str, paths: &[&Path]) -> Command {
    let mut paths = paths.iter();
    let mut command = Command::new(vestore());
    for word in words.split_whitespace() {
        if word == "{}" {
            command.arg(paths.next().unwrap());
        } else {
            command.arg(word);
        }
    }
    command
}

/// Starts a training, and kills it when its `state` on disk was renewed 1 to `most` times, in the middle of whatever it
/// does then. Whether it was still going.
pub(crate) fn killed_between_states(
    words: &str,
    paths: &[&Path],
    state: &Path,
    most: u64,
    random: &mut Random,
) -> bool {
    let mut command = command(words, paths);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let saved = || -> Option<SystemTime> { fs::metadata(state).and_then(|state| state.modified()).ok() };
    let mut last = saved();
    let mut states = 1 + random.below(most);
    while states > 0 && child.try_wait().unwrap().is_none() {
        let now = saved();
        states -= u64::from(now != last);
        last = now;
    }
    let going = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    going
}

/// Runs `vestore`, which must succeed, and gives its stdout.
pub(crate) fn ok(words: &str, paths: &[&Path]) -> String {
    let output = run(words, paths);
    assert!(
        output.status.success(),
        "vestore {words}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `vestore`, which must succeed, and gives its stderr.
pub(crate) fn said(words: &str, paths: &[&Path]) -> String {
    let output = run(words, paths);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "vestore {words}: {}\n{said}", output.status);
    said
}

/// Runs `vestore`, which must fail with `code` and an error of one line, and gives that line.
pub(crate) fn fails(code: i32, words: &str, paths: &[&Path]) -> String {
    let output = run(words, paths);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "vestore {words}: {said}");
    assert!(!said.contains("panicked") && !said.trim().is_empty(), "{said}");
    said
}

/// A checkpoint with weights from a seed.
pub(crate) fn checkpoint(folder: &Path, family: &str, options: &str) {
    let program = vestore().with_file_name("examples").join("synthetic_checkpoint");
    // The command line is not part of it.
    fresh(
        &program,
        &["ingest/src", "ingest/examples"],
        &["ingest/src/cli", "ingest/src/cli.rs", "ingest/src/main.rs"],
    );
    let output =
        Command::new(&program).arg(family).arg(folder).args(options.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A genome from a seed: `chr1` with a run of N in its middle, `HLA-A*01:01`, and a contig shorter than
/// any window. Gives the bases of `chr1`.
pub(crate) fn genome(path: &Path) -> Vec<u8> {
    let mut random = Random(1);
    let mut bases =
        |length: usize| -> Vec<u8> { (0..length).map(|_| b"ACGT"[random.below(4) as usize]).collect() };
    let mut first = bases(6000);
    first[3000..3040].fill(b'N');
    let text = |name: &str, bases: &[u8]| {
        let lines: Vec<&str> = bases.chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!(">{name}\n{}\n", lines.join("\n"))
    };
    let whole = [text("chr1", &first), text("HLA-A*01:01", &bases(900)), text("short", &bases(20))];
    fs::write(path, whole.concat()).unwrap();
    first
}

/// A store over [`genome`] with a small k-mer model named `small`; gives the bases of `chr1` too.
pub(crate) fn store(folder: &Path) -> (PathBuf, Vec<u8>) {
    let (fasta, model, store) = (folder.join("genome.fa"), folder.join("model"), folder.join("store"));
    let bases = genome(&fasta);
    checkpoint(
        &model,
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 5",
    );
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("model add {} small --checkpoint {}", &[&store, &model]);
    (store, bases)
}

/// A VCF with the given records (contig, 1-based position, reference, alternates).
pub(crate) fn vcf(path: &Path, records: &[(&str, u32, String, String)]) {
    let mut text = String::from("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n");
    for (contig, position, reference, alternate) in records {
        writeln!(text, "{contig}\t{position}\t.\t{reference}\t{alternate}\t.\t.\t.").unwrap();
    }
    fs::write(path, text).unwrap();
}

/// The rows of a TSV answer as columns by name.
pub(crate) fn rows(tsv: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut lines = tsv.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|cells| header.iter().cloned().zip(cells).collect()).collect()
}
