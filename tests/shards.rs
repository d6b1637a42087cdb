//! Shards of a plan, scored apart and merged: the rows of one run, or the right refusal.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::interrupt::signal;
use crate::kill::copy;
use crate::programs::{checkpoint, command, fails, ok, said, store, vcf};
use crate::support::{Random, rounds};

const SCORE: &str = "score {} --model small --window 120 --device cpu --track t --score llr --threads 1 --embeddings pooled --variants {} --quiet";

/// Variants on two contigs, of which some cannot be scored.
fn variants(folder: &Path, bases: &[u8]) -> PathBuf {
    let mut records = Vec::new();
    for position in 1..=2000_u32 {
        let base = char::from(bases[position as usize - 1]).to_ascii_uppercase();
        let other = if base == 'A' { "C,G" } else { "A" };
        let other = if position % 50 == 0 { "<DEL>" } else { other };
        records.push(("chr1", position, base.to_string(), other.to_owned()));
    }
    let path = folder.join("x.vcf");
    vcf(&path, &records);
    path
}

/// A store without rows, variants, and the rows of these in one run.
fn scored_whole(folder: &Path) -> (PathBuf, PathBuf, String) {
    let (fresh, bases) = store(folder);
    let (variants, whole) = (variants(folder, &bases), folder.join("whole"));
    copy(&fresh, &whole);
    said(SCORE, &[&whole, &variants]);
    let rows = rows_of(&whole);
    (fresh, variants, rows)
}

/// Scores part `part` of `of` of the variants into a store of its own.
fn shard(store: &Path, variants: &Path, part: u32, of: u32) -> PathBuf {
    let output = store.with_file_name(format!("shard.{part}.{of}"));
    said(&format!("{SCORE} --shard {part}/{of} --output {{}}"), &[store, variants, &output]);
    output
}

fn merge(shards: &[PathBuf]) -> String {
    format!("merge {{}} --quiet{}", " {}".repeat(shards.len()))
}

fn paths<'a>(store: &'a Path, shards: &'a [PathBuf]) -> Vec<&'a Path> {
    std::iter::once(store).chain(shards.iter().map(PathBuf::as_path)).collect()
}

/// All rows of every table.
fn rows_of(store: &Path) -> String {
    ok("query {} --format tsv", &[store]) + &ok("query {} --embeddings --format tsv", &[store])
}

#[test]
fn merged_shards_are_the_rows_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, variants, wanted) = scored_whole(folder.path());

    // A writer of the store is in nobody's way.
    let opened = vestore::Store::open(&fresh).unwrap();
    let writer = opened.writer("test").unwrap();
    let mut shards: Vec<PathBuf> = [2, 4, 1].map(|part| shard(&fresh, &variants, part, 4)).into();
    drop(writer);
    let estimate = said(&format!("{SCORE} --shard 1/4 --dry-run"), &[&fresh, &variants]);
    assert!(estimate.contains("shard 4/4: "), "{estimate}");

    // One is stopped, told from the others, and resumed by the same command.
    let third = fresh.with_file_name("shard.3.4");
    let words = format!("{SCORE} --shard 3/4 --output {{}}");
    let mut child = command(&words, &[&fresh, &variants, &third]).stderr(Stdio::null()).spawn().unwrap();
    while !third.join("catalog.redb").exists() && child.try_wait().unwrap().is_none() {}
    signal(&child, "-KILL");
    child.wait().unwrap();
    let refused = fails(1, &merge(&shards), &paths(&fresh, &shards));
    assert!(refused.contains("missing shards of track `t`: 3/4"), "{refused}");
    assert_eq!(ok("query {} --count", &[&fresh]).trim(), "0");
    said(&words, &[&fresh, &variants, &third]);
    shards.push(third);

    let told = said(&merge(&shards).replace(" --quiet", ""), &paths(&fresh, &shards));
    assert!(told.contains("4 stores merged"), "{told}");
    assert!(rows_of(&fresh) == wanted);
    assert_eq!(ok("verify {} --quiet", &[&fresh]), "");
    let told = said(&merge(&shards[1..2]), &paths(&fresh, &shards[1..2]));
    assert!(told.contains("1 store was merged already"), "{told}");
    let told = said(SCORE, &[&fresh, &variants]);
    assert!(told.contains("nothing to do"), "{told}");
    // Merged again after the segments are others.
    said("compact {}", &[&fresh]);
    said(&merge(&shards), &paths(&fresh, &shards));
    assert!(rows_of(&fresh) == wanted);
    // And after those of a shard are.
    said("compact {}", &[&shards[3]]);
    let told = said(&merge(&shards), &paths(&fresh, &shards));
    assert!(told.contains("4 stores were merged already"), "{told}");
    assert!(rows_of(&fresh) == wanted);
    // A part of the rows was lost: what would come twice is refused, what is missing can be scored.
    said("track remove {} t --status symbolic", &[&fresh]);
    let told = fails(1, &merge(&shards), &paths(&fresh, &shards));
    assert!(told.contains("has a row of track `t`"), "{told}");
    said("track remove {} t", &[&fresh]);
    let told = fails(1, &merge(&shards[..1]), &paths(&fresh, &shards[..1]));
    assert!(told.contains("missing shards of track `t`: 1/4, 3/4, 4/4"), "{told}");
    said(&merge(&shards), &paths(&fresh, &shards));
    assert!(rows_of(&fresh) == wanted);
    // A store that has some of the shards is no more than these.
    let (some, all) = (folder.path().join("some"), folder.path().join("all"));
    for store in [&some, &all] {
        ok("init {} --reference {}", &[store, &folder.path().join("genome.fa")]);
    }
    said(&format!("{} --partial", merge(&shards[..2])), &paths(&some, &shards[..2]));
    let told = fails(1, "merge {} {}", &[&all, &some]);
    assert!(told.contains("missing shards of track `t`: "), "{told}");
    let rest = [some, shards[2].clone(), shards[3].clone()];
    said(&merge(&rest), &paths(&all, &rest));
    assert!(rows_of(&all) == wanted);
    let told = said(&merge(&rest), &paths(&all, &rest));
    assert!(told.contains("3 stores were merged already"), "{told}");
}

#[test]
fn what_does_not_belong_together_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, bases) = store(folder.path());
    let variants = variants(folder.path(), &bases);
    let halves = [1, 2].map(|part| shard(&fresh, &variants, part, 2));
    let thirds = [1, 2, 3].map(|part| shard(&fresh, &variants, part, 3));
    let before = std::fs::read(fresh.join("catalog.redb")).unwrap();
    let refused = |shards: &[PathBuf], part: &str| {
        let told = fails(1, &merge(shards), &paths(&fresh, shards));
        assert!(told.contains(part), "{told}");
        assert_eq!(ok("query {} --count", &[&fresh]).trim(), "0");
    };
    refused(&[halves.as_slice(), &thirds].concat(), "has a row of track `t` (scores) both in");
    refused(std::slice::from_ref(&fresh), "is the store that is merged into");
    refused(&[folder.path().join("nowhere")], "not a vestore store");

    // A shard of another model under the name of this one, and of another reference.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    checkpoint(
        &other.join("model"),
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 6",
    );
    let (root, fasta) = (other.join("store"), folder.path().join("genome.fa"));
    ok("init {} --reference {}", &[&root, &fasta]);
    ok("model add {} small --checkpoint {}", &[&root, &other.join("model")]);
    refused(&[shard(&root, &variants, 1, 1)], "the name belongs to another model");
    let strange = other.join("strange.fa");
    std::fs::write(&strange, ">chr1\nACGTACGTACGTACGT\n").unwrap();
    std::fs::write(other.join("s.tsv"), "chrom\tpos\tref\talt\ts\nchr1\t1\tA\tC\t1\n").unwrap();
    ok("init {} --reference {}", &[&other.join("strange"), &strange]);
    ok("import {} --track s {} --quiet", &[&other.join("strange"), &other.join("s.tsv")]);
    refused(
        &[other.join("strange")],
        "contig `chr1` has rows, and the store's reference has no contig with these bases",
    );

    // Rows of another track, and shards of which only one has embeddings.
    let words = format!("{SCORE} --shard 1/2 --output {{}}");
    let told = fails(
        1,
        &words.replace("--track t", "--track u").replace("120", "150"),
        &[&fresh, &variants, &halves[0]],
    );
    assert!(told.contains("it has rows of track `t` (scores), not of `u`"), "{told}");
    let plain = folder.path().join("plain");
    let words = words.replace("--embeddings pooled", "");
    said(&words, &[&fresh, &variants, &plain]);
    refused(&[plain, halves[1].clone()], "missing shards of track `t`: ");
    std::fs::write(other.join("file"), "x").unwrap();
    let told = fails(1, &words, &[&fresh, &variants, &other]);
    assert!(told.contains("cannot hold this shard: it is not an empty folder"), "{told}");

    // A flipped bit.
    let mut damaged = Vec::new();
    for half in &halves {
        let copied = half.with_extension("damaged");
        copy(half, &copied);
        damaged.push(copied);
    }
    let segments = vestore::Store::open(&damaged[0]).unwrap().all_segments().unwrap();
    let file = damaged[0].join(segments[0].path());
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    refused(&damaged, "is damaged: checksum");
    // Rows that were dropped make it incomplete.
    ok("verify {} --drop-damaged --quiet", &[&damaged[0]]);
    refused(&damaged, "is not complete: ");
    said(&format!("{SCORE} --shard 1/2 --output {{}}"), &[&fresh, &variants, &damaged[0]]);
    said(&merge(&damaged), &paths(&fresh, &damaged));
    drop(before);
    // What is there is not taken once more.
    let told = fails(1, &merge(&thirds), &paths(&fresh, &thirds));
    assert!(told.contains("both in"), "{told}");
}

#[test]
fn a_killed_merge_is_continued_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, variants, wanted) = scored_whole(folder.path());
    let shards: Vec<PathBuf> = (1..=3).map(|part| shard(&fresh, &variants, part, 3)).collect();
    let mut random = Random(7);
    for _ in 0..rounds("VESTORE_KILLS", 8) {
        let target = folder.path().join("target");
        copy(&fresh, &target);
        let mut child =
            command(&merge(&shards), &paths(&target, &shards)).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..random.below(12) {
            ok("query {} --count", &[&target]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = rows_of(&target);
        assert!(left.lines().all(|line| wanted.contains(line)));
        said(&merge(&shards), &paths(&target, &shards));
        assert!(rows_of(&target) == wanted);
        assert_eq!(ok("verify {} --quiet", &[&target]), "");
        std::fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn an_ablation_is_merged_beside_scores_that_are_there() {
    const ABLATE: &str = "ablate {} --model small --region chr1:100-160 --window 96 --score llr --device cpu --threads 1 --quiet --track t";
    let folder = tempfile::tempdir().unwrap();
    let (fresh, _) = store(folder.path());
    let some = "score {} --model small --region chr1:90-120 --window 96 --score llr --device cpu --threads 1 --quiet --track t";
    said(some, &[&fresh]);
    let whole = folder.path().join("whole");
    copy(&fresh, &whole);
    said(ABLATE, &[&whole]);
    let shards: Vec<PathBuf> = (1..=2).map(|part| folder.path().join(format!("a{part}"))).collect();
    for (part, path) in (1..).zip(&shards) {
        said(&format!("{ABLATE} --shard {part}/2 --output {{}}"), &[&fresh, path]);
    }
    let told = said(&merge(&shards), &paths(&fresh, &shards));
    assert!(told.contains("63 rows of scores skipped: already in the store"), "{told}");
    for table in ["", "--ablation"] {
        let query = format!("query {{}} {table} --format tsv");
        assert!(ok(&query, &[&fresh]) == ok(&query, &[&whole]));
    }
}

/// A run that was killed after its last unit, before it said that it had finished.
#[test]
fn a_shard_is_complete_once_its_last_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, variants, wanted) = scored_whole(folder.path());
    let root = folder.path().join("one");
    let words = format!("{SCORE} --shard 1/1 --output {{}}");
    said(&words.replace("--embeddings pooled", ""), &[&fresh, &variants, &root]);
    said(&words, &[&fresh, &variants, &root]);
    let shard = vestore::Store::open(&root).unwrap();
    let last = shard.runs().unwrap().pop().unwrap();
    shard.writer("test").unwrap().put_run(&vestore_schema::Run { finished: None, ..last }).unwrap();
    let refused = fails(1, "merge {} {}", &[&fresh, &root]);
    assert!(refused.contains("is not complete"), "{refused}");
    said(&words, &[&fresh, &variants, &root]);
    said("merge {} {}", &[&fresh, &root]);
    assert!(rows_of(&fresh) == wanted);
}

#[test]
fn embeddings_are_merged_beside_scores_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, bases) = store(folder.path());
    let variants = variants(folder.path(), &bases);
    said(&SCORE.replace("--embeddings pooled", ""), &[&fresh, &variants]);
    let whole = folder.path().join("whole");
    copy(&fresh, &whole);
    said(SCORE, &[&whole, &variants]);
    let shards: Vec<PathBuf> = (1..=2).map(|part| shard(&fresh, &variants, part, 2)).collect();
    let told = said(&merge(&shards), &paths(&fresh, &shards));
    assert!(told.contains("rows of scores skipped: already in the store"), "{told}");
    assert!(rows_of(&fresh) == rows_of(&whole));
}

/// Stores of single chromosomes, with other names for them, and with other tracks.
#[test]
fn contigs_match_by_their_bases() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("both.fa"), ">chr1\nACGTACGTTT\n>chr2\nTTTTGGGGCC\n").unwrap();
    std::fs::write(at("two.fa"), ">2\nttttggggcc\n").unwrap();
    std::fs::write(at("one.fa"), ">chr1\nACGTACGTTT\n").unwrap();
    let table = |contig: &str, base: &str, score: &str| {
        format!(
            "chrom\tpos\tref\talt\ts\n{contig}\t1\t{base}\tG\t{score}\n{contig}\t2\t{}\tA\t{score}\n",
            if base == "A" { "C" } else { "T" }
        )
    };
    std::fs::write(at("one.tsv"), table("chr1", "A", "0.5")).unwrap();
    std::fs::write(at("two.tsv"), table("2", "T", "-2")).unwrap();
    ok("init {} --reference {}", &[&at("s"), &at("both.fa")]);
    for name in ["one", "two"] {
        let (store, fasta, tsv) = (at(name), at(&format!("{name}.fa")), at(&format!("{name}.tsv")));
        ok("init {} --reference {}", &[&store, &fasta]);
        ok(&format!("import {{}} --track {name} {{}} --quiet"), &[&store, &tsv]);
    }
    said("merge {} {} {}", &[&at("s"), &at("one"), &at("two")]);
    let expected = "contig\tposition\treference\talternate\tmodel\ttrack\tstatus\ts\n\
                    chr1\t1\tA\tG\texternal\tone\tscored\t0.5\nchr1\t2\tC\tA\texternal\tone\tscored\t0.5\n\
                    chr2\t1\tT\tG\texternal\ttwo\tscored\t-2\nchr2\t2\tT\tA\texternal\ttwo\tscored\t-2\n";
    assert_eq!(ok("query {} --format tsv", &[&at("s")]), expected);
    assert_eq!(ok("verify {} --quiet", &[&at("s")]), "");
    // Two contigs with the same bases are one contig where the store has one.
    std::fs::write(at("twins.fa"), ">x\nACGTACGTTT\n>y\nACGTACGTTT\n").unwrap();
    std::fs::write(at("twins.tsv"), "chrom\tpos\tref\talt\ts\nx\t1\tA\tG\t1\ny\t1\tA\tG\t2\n").unwrap();
    ok("init {} --reference {}", &[&at("twins"), &at("twins.fa")]);
    ok("import {} --track twins {} --quiet", &[&at("twins"), &at("twins.tsv")]);
    let told = fails(1, "merge {} {}", &[&at("s"), &at("twins")]);
    assert!(told.contains("contigs `x` and `y` have the same bases"), "{told}");
    let told = said("merge {} {} {}", &[&at("s"), &at("two"), &at("one")]);
    assert!(told.contains("2 stores were merged already"), "{told}");
    assert_eq!(ok("query {} --format tsv", &[&at("s")]), expected);
}

/// What schedulers read.
#[test]
fn progress_is_one_object_per_line() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, bases) = store(folder.path());
    let variants = variants(folder.path(), &bases);
    let words = format!("{SCORE} --progress json --shard 1/2 --output {{}}");
    let shard = folder.path().join("one");
    let told = said(&words, &[&fresh, &variants, &shard]);
    let events: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!((of("begin").len(), of("end").len()), (1, 1));
    let end = of("end")[0];
    assert_eq!(
        (&end["unit"], &end["device"], &end["shard"]),
        (&"variants".into(), &"cpu".into(), &"1/2".into())
    );
    assert!(end["done"] == end["total"] && end["done"].as_u64().unwrap() > 1000, "{end}");
    assert!(end["memory"].as_u64().unwrap() > 1 << 20 && end["rate"].as_f64().unwrap() > 0.0, "{end}");
    assert!(of("message").iter().any(|event| event["text"].as_str().unwrap().contains("rows written")));
    // An error is an event too.
    let told = fails(1, "merge {} {} --progress json", &[&fresh, &shard]);
    let error: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(error["text"].as_str().unwrap().contains("missing shards"), "{told}");
}

/// A second writer waits for the first where it is told to.
#[test]
fn a_writer_waits_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, bases) = store(folder.path());
    let variants = variants(folder.path(), &bases);
    let shards = [shard(&fresh, &variants, 1, 1)];
    let opened = vestore::Store::open(&fresh).unwrap();
    let writer = opened.writer("vestore compact").unwrap();
    assert!(fails(1, &merge(&shards), &paths(&fresh, &shards)).contains("vestore compact"));
    let mut child = command(&format!("{} --wait", merge(&shards)), &paths(&fresh, &shards))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("waiting: ") && line.contains("vestore compact"), "{line}");
    assert_eq!(ok("query {} --count", &[&fresh]).trim(), "0");
    // Nothing is in hand of a run that waits: it ends at once.
    let mut waiting =
        command(&format!("{SCORE} --wait"), &[&fresh, &variants]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(waiting.stderr.take().unwrap()), &mut line)
        .unwrap();
    assert!(line.contains("waiting: "), "{line}");
    signal(&waiting, "-INT");
    assert_eq!(waiting.wait().unwrap().code(), Some(130));
    drop(writer);
    assert!(child.wait().unwrap().success());
    assert_ne!(ok("query {} --count", &[&fresh]).trim(), "0");
}
