//! Datasets of seeded tables of the shape of the causal-eQTL file, against plain models of what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::random::Random;

/// A reference of four contigs, and a folder for tables.
struct Ground {
    folder: tempfile::TempDir,
    genome: Vec<(String, Vec<u8>)>,
    assembly: Assembly,
}

impl Ground {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut random = Random::new(seed);
        let mut genome = Vec::new();
        let mut fasta = String::new();
        for (name, length) in [("chr1", 3000), ("chr2", 2000), ("chr8", 1500), ("chr9", 700)] {
            let bases: Vec<u8> = (0..length).map(|_| b"ACGT"[random.below(4) as usize]).collect();
            let _ = writeln!(fasta, ">{name}\n{}", String::from_utf8_lossy(&bases));
            genome.push((name.to_owned(), bases));
        }
        fs::write(folder.path().join("x.fa"), fasta).expect("written");
        let assembly = Reference::open(folder.path().join("x.fa")).and_then(|mut found| found.survey());
        Self { folder, genome, assembly: assembly.expect("a reference") }
    }

    /// Rows of the causal-eQTL file: SNVs, many of them in several tissues.
    fn table(&self, seed: u64, rows: usize) -> Vec<[String; 8]> {
        let mut random = Random::new(seed);
        let mut table: Vec<[String; 8]> = Vec::new();
        while table.len() < rows {
            let (name, bases) = &self.genome[random.below(4) as usize];
            let at = random.below(bases.len() as u64) as usize;
            let old = bases[at] as char;
            let new = b"ACGT".iter().map(|base| *base as char).filter(|base| *base != old);
            let new = new.collect::<Vec<char>>()[random.below(3) as usize];
            for _ in 0..=random.below(3) {
                let label = u8::from(random.uniform() < 0.3);
                let tissue = ["Liver", "Brain_Cortex", "Whole_Blood"][random.below(3) as usize];
                let split = if name == "chr8" { "test" } else { "train" };
                let (position, old, new) = ((at + 1).to_string(), old.to_string(), new.to_string());
                let distance = random.below(100_000).to_string();
                let (label, tissue, split) = (label.to_string(), tissue.to_owned(), split.to_owned());
                let contig = name.trim_start_matches("chr").to_owned();
                table.push([contig, position, old, new, label, tissue, distance, split]);
            }
        }
        table
    }

    fn write(&self, table: &[[String; 8]]) -> PathBuf {
        let header = "CHROM,POS,REF,ALT,label,tissue,distance_to_nearest_TSS,split\n".to_owned();
        let text = table.iter().fold(header, |text, row| text + &row.join(",") + "\n");
        self.file("labels.csv", &text)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn read(&self, path: &Path, split: &SplitOptions) -> Result<Dataset, DatasetError> {
        self.read_as(path, &rules(), None, split)
    }

    fn read_as(
        &self,
        path: &Path,
        rules: &LabelRules,
        task: Option<TaskKind>,
        split: &SplitOptions,
    ) -> Result<Dataset, DatasetError> {
        let mut reference = Reference::open(self.folder.path().join("x.fa")).expect("a reference");
        Dataset::read_variants(path, rules, task, split, &self.assembly, &mut reference)
    }
}

fn rules() -> LabelRules {
    LabelRules { column: "label".to_owned(), ..LabelRules::default() }
}

fn random(seed: u64) -> SplitOptions {
    SplitOptions { rule: SplitRule::Random, validation_share: 0.1, test_share: 0.2, seed }
}

fn column() -> SplitOptions {
    SplitOptions { rule: SplitRule::Column { column: "split".to_owned() }, ..random(5) }
}

fn contigs(validation: &[&str], test: &[&str]) -> SplitOptions {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    SplitOptions {
        rule: SplitRule::Contigs { validation: names(validation), test: names(test) },
        ..random(5)
    }
}

/// The splits that each input is in.
fn splits_of(dataset: &Dataset) -> BTreeMap<&DatasetInput, BTreeSet<Split>> {
    let mut found: BTreeMap<&DatasetInput, BTreeSet<Split>> = BTreeMap::new();
    for (input, split) in dataset.inputs.iter().zip(&dataset.splits) {
        found.entry(input).or_default().insert(*split);
    }
    found
}

#[test]
fn rows_stay_as_they_are_and_repeats_are_counted() {
    let ground = Ground::new(1);
    let table = ground.table(2, 400);
    let found = ground.read(&ground.write(&table), &column()).expect("a dataset");
    assert_eq!(found.task, Task::Classification { classes: vec!["0".to_owned(), "1".to_owned()] });
    assert_eq!(found.inputs.len(), table.len());
    let mut first: BTreeMap<[String; 4], String> = BTreeMap::new();
    let (mut repeated, mut relabelled) = (0i64, 0);
    for (row, (input, label)) in table.iter().zip(found.inputs.iter().zip(&found.labels)) {
        let DatasetInput::Variant(variant) = input else { panic!("{input:?}") };
        assert_eq!(variant.display(&ground.assembly).to_string(), format!("chr{}", row[..4].join("-")));
        assert_eq!(label.to_string(), row[4]);
        let key: [String; 4] = std::array::from_fn(|at| row[at].clone());
        let earlier = first.entry(key).or_insert_with(|| {
            repeated -= 1;
            row[4].clone()
        });
        repeated += 1;
        relabelled += u64::from(*earlier != row[4]);
    }
    assert_eq!((found.counts.rows.repeated, found.counts.rows.relabelled), (repeated as u64, relabelled));
    assert!(repeated > 50 && relabelled > 20, "{repeated} {relabelled}");
    let said = found.counts.to_string();
    assert!(
        said.contains(&format!("{repeated} repeat an earlier input and stay, {relabelled} of them")),
        "{said}"
    );
}

#[test]
fn a_column_says_the_splits_and_validation_is_drawn_where_it_does_not() {
    let ground = Ground::new(1);
    let mut table = ground.table(2, 600);
    let found = ground.read(&ground.write(&table), &column()).expect("a dataset");
    for (row, split) in table.iter().zip(&found.splits) {
        assert_eq!(row[7] == "test", *split == Split::Test);
    }
    assert!(splits_of(&found).values().all(|splits| splits.len() == 1));
    let (training, validation) = (found.counts.of(Split::Training), found.counts.of(Split::Validation));
    let share = validation as f64 / (training + validation) as f64;
    assert!((share - 0.1).abs() < 0.03, "{share}");
    let without = SplitOptions { validation_share: 0.0, ..column() };
    assert_eq!(
        ground.read(&ground.write(&table), &without).expect("a dataset").counts.of(Split::Validation),
        0
    );
    let texts = ["Train", "VALID", "dev", "training", "val", "Validation", "TEST"];
    for (number, row) in table.iter_mut().enumerate() {
        row[7] = texts[number % 7].to_owned();
    }
    let found = ground.read(&ground.write(&table), &column()).expect("a dataset");
    let due = [Split::Training, Split::Validation, Split::Validation, Split::Training, Split::Validation];
    let due: Vec<Split> =
        due.into_iter().chain([Split::Validation, Split::Test]).cycle().take(table.len()).collect();
    assert_eq!(found.splits, due);
    "holdout".clone_into(&mut table[41][7]);
    let error = ground.read(&ground.write(&table), &column()).expect_err("no split").to_string();
    assert!(
        error.contains("line 43: split `holdout` is not a split; write train, validation or test"),
        "{error}"
    );
}

#[test]
fn contigs_say_the_splits() {
    let ground = Ground::new(1);
    let table = ground.table(2, 500);
    let path = ground.write(&table);
    let found = ground.read(&path, &contigs(&["9"], &["chr8", "2"])).expect("a dataset");
    for (row, split) in table.iter().zip(&found.splits) {
        let due = match row[0].as_str() {
            "9" => Split::Validation,
            "8" | "2" => Split::Test,
            _ => Split::Training,
        };
        assert_eq!(*split, due);
    }
    let drawn = ground.read(&path, &contigs(&[], &["8"])).expect("a dataset");
    assert!(drawn.counts.of(Split::Validation) > 10);
    assert!(splits_of(&drawn).values().all(|splits| splits.len() == 1));
    let some: Vec<[String; 8]> = table.iter().filter(|row| row[0] != "9").cloned().collect();
    let path = ground.write(&some);
    for (options, part) in [
        (contigs(&["9"], &["8"]), "no row is on contig `9`; rows are on chr1"),
        (contigs(&["chr21"], &["8"]), "no row is on contig `chr21`; rows are on chr1, chr2, chr8"),
        (contigs(&["8"], &["chr8"]), "contig `chr8` is for validation and for testing"),
        (contigs(&["8"], &[]), "the test split is empty; name rows for it"),
        (contigs(&["1"], &["2", "8"]), "the training split is empty"),
    ] {
        let error = ground.read(&path, &options).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn random_splits_keep_inputs_together_and_classes_alike() {
    let ground = Ground::new(1);
    let table = ground.table(2, 3000);
    let found = ground.read(&ground.write(&table), &random(7)).expect("a dataset");
    assert!(splits_of(&found).values().all(|splits| splits.len() == 1));
    // Inputs of the same classes are divided alike: to one input, up to rounding.
    let mut classes: BTreeMap<&DatasetInput, BTreeSet<u32>> = BTreeMap::new();
    for (input, label) in found.inputs.iter().zip(&found.labels) {
        classes.entry(input).or_default().insert(*label as u32);
    }
    let splits = splits_of(&found);
    for stratum in [[0].as_slice(), &[1], &[0, 1]] {
        let inputs = classes.iter().filter(|(_, found)| found.iter().eq(stratum)).map(|(input, _)| input);
        let inside: Vec<Split> = inputs.map(|input| *splits[*input].first().expect("a split")).collect();
        for (split, share) in [(Split::Test, 0.2), (Split::Validation, 0.1)] {
            let count = inside.iter().filter(|found| **found == split).count() as f64;
            assert!((count - share * inside.len() as f64).abs() <= 0.5, "{stratum:?} {split} {count}");
        }
        assert!(inside.len() > 100);
    }
    // The same seed divides alike, whatever the order of the rows; another one does not.
    let turned: Vec<[String; 8]> = table.iter().rev().cloned().collect();
    let again = ground.read(&ground.write(&turned), &random(7)).expect("a dataset");
    assert_eq!(splits_of(&again), splits);
    let other = ground.read(&ground.write(&table), &random(8)).expect("a dataset");
    assert_ne!(other.splits, found.splits);
    assert_eq!(
        other.counts.of(Split::Test) + other.counts.of(Split::Validation) + other.counts.of(Split::Training),
        table.len() as u64
    );
    assert_ne!(other.digest(), found.digest());
    assert_eq!(ground.read(&ground.write(&table), &random(7)).expect("a dataset").digest(), found.digest());
}

#[test]
fn leakage_is_that_of_comparing_all_with_all() {
    let ground = Ground::new(3);
    let mut table = ground.table(4, 60);
    let mut draw = Random::new(9);
    for row in &mut table {
        row[7] = ["train", "train", "val", "test"][draw.below(4) as usize].to_owned();
    }
    let found = ground.read(&ground.write(&table), &column()).expect("a dataset");
    let splits = splits_of(&found);
    let mut seen = [false; 2];
    for window in [0, 1, 30, 200, 600] {
        let leakage = found.leakage(window);
        let start = |variant: &Variant| {
            let length = ground.genome[variant.contig as usize].1.len() as i64;
            (i64::from(variant.position.zero_based()) - i64::from(window / 2))
                .min(length - i64::from(window))
                .max(0)
        };
        let overlap = |a: &DatasetInput, b: &DatasetInput| match (a, b) {
            (DatasetInput::Variant(a), DatasetInput::Variant(b)) => {
                a.contig == b.contig && (start(a) - start(b)).abs() < i64::from(window) && a != b
            }
            _ => false,
        };
        for pair in [
            [Split::Training, Split::Validation],
            [Split::Training, Split::Test],
            [Split::Validation, Split::Test],
        ] {
            let inside = |split| {
                splits.iter().filter(move |(_, found)| found.contains(&split)).map(|(input, _)| *input)
            };
            let shared =
                splits.values().filter(|found| found.contains(&pair[0]) && found.contains(&pair[1])).count();
            let of = |a, b| inside(a).filter(|one| inside(b).any(|other| overlap(one, other))).count() as u64;
            let overlapping = [of(pair[0], pair[1]), of(pair[1], pair[0])];
            let told = leakage.pairs.iter().find(|found| found.splits == pair);
            let told = told.map_or((0, [0, 0]), |found| (found.shared, found.overlapping));
            assert_eq!(told, (shared as u64, overlapping), "{window} {pair:?}");
            seen[0] |= shared > 0;
            seen[1] |= overlapping[0] > 0 && overlapping[0] < inside(pair[0]).count() as u64;
        }
    }
    assert_eq!(seen, [true, true]);
    let said = found.leakage(600).to_string();
    assert!(
        said.contains("training and test: ")
            && said.contains(" inputs stand in both")
            && said.contains("windows of 600 bases overlap"),
        "{said}"
    );
    let apart = ground.read(&ground.write(&table), &contigs(&["9"], &["8"])).expect("a dataset").leakage(600);
    assert!(apart.is_empty() && apart.to_string() == "no input or window lies in two splits", "{apart}");
}

#[test]
fn what_cannot_be_cut_or_is_no_variant_is_left_out_and_counted() {
    let ground = Ground::new(5);
    let base = |at: usize| ground.genome[0].1[at - 1] as char;
    let wrong = if base(10) == 'A' { 'C' } else { 'A' };
    let mut text = "CHROM\tPOS\tREF\tALT\tlabel\n".to_owned();
    for at in 100..160 {
        let new = if base(at) == 'A' { 'C' } else { 'A' };
        let _ = writeln!(text, "1\t{at}\t{}\t{new}\t{}", base(at), at % 2);
    }
    let _ = writeln!(
        text,
        "1\t10\t{wrong}\tT{wrong}\t1\n1\t11\t{}\t<DEL>\t1\n7\t11\tA\tC\t1\n1\t12\t{}\tN\tNA",
        base(11),
        base(12)
    );
    let found = ground.read(&ground.file("x.tsv", &text), &random(1)).expect("a dataset");
    let said = found.counts.to_string();
    let due = "60 labelled rows of 64, 1 without a label, 1 unknown_contig, 1 ref_mismatch, 1 symbolic; training 42 \
               (0: 21, 1: 21); validation 6 (0: 3, 1: 3); test 12 (0: 6, 1: 6)";
    assert_eq!(said, due);
    let named = LabelRules { positive: vec!["1".to_owned()], negative: vec!["0".to_owned()], ..rules() };
    let again = ground.read_as(&ground.file("x.tsv", &text), &named, None, &random(1)).expect("a dataset");
    assert_eq!(again.labels, found.labels);
    assert_eq!(
        again.task,
        Task::Classification { classes: vec!["negative".to_owned(), "positive".to_owned()] }
    );
    assert_ne!(again.digest(), found.digest());
}

#[test]
fn sequences_have_any_classes_or_numbers() {
    let ground = Ground::new(5);
    let columns = SequenceColumns { sequence: "seq".to_owned(), label: "kind".to_owned() };
    let read =
        |text: &str, task| Dataset::read_sequences(&ground.file("s.csv", text), &columns, task, &random(3));
    let mut random = Random::new(4);
    let mut table = |label: &dyn Fn(usize) -> String| {
        let row = |at: usize| {
            let bases: String =
                (0..20).map(|_| "acgtN".as_bytes()[random.below(5) as usize] as char).collect();
            format!("{at},{},\"{bases}\"\n", label(at))
        };
        (0..90).map(row).fold("id,kind,seq\n".to_owned(), |text, row| text + &row)
    };
    let text = table(&|at| ["promoter", "enhancer", "none"][at % 3].to_owned());
    let found = read(&text, None).expect("a dataset");
    let classes = ["enhancer", "none", "promoter"].map(str::to_owned).to_vec();
    assert_eq!(found.task, Task::Classification { classes });
    assert_eq!(found.labels[..3], [2.0, 0.0, 1.0]);
    assert_eq!(found.counts.by_split, [[21; 3], [3; 3], [6; 3]]);
    for (input, line) in found.inputs.iter().zip(text.lines().skip(1)) {
        let bases = line.split('"').nth(1).expect("bases").to_ascii_uppercase();
        assert_eq!(*input, DatasetInput::Sequence(bases.into_bytes()));
    }
    let found = read(&table(&|at| format!("{}.5", at % 7)), None).expect("a dataset");
    assert_eq!((found.task, found.labels[1]), (Task::Regression, 1.5));
    let numbers = table(&|at| (at % 11).to_string());
    let found = read(&numbers, Some(TaskKind::Classification)).expect("a dataset");
    let classes = (0..11).map(|class: u32| class.to_string()).collect();
    assert_eq!((found.task, found.labels[10]), (Task::Classification { classes }, 10.0));
    let twice = text.lines().chain(text.lines().skip(1)).collect::<Vec<_>>().join("\n");
    let found = read(&twice, None).expect("a dataset");
    assert!(found.leakage(600).is_empty() && found.counts.rows.repeated == 90);
    let column =
        SplitOptions { rule: SplitRule::Column { column: "id".to_owned() }, ..super::tests::random(1) };
    let halves: String = twice
        .lines()
        .enumerate()
        .map(|(at, line)| match (at, line.split_once(',')) {
            (1.., Some((_, rest))) => format!("{},{rest}\n", if at <= 90 { "train" } else { "test" }),
            _ => format!("{line}\n"),
        })
        .collect();
    let found =
        Dataset::read_sequences(&ground.file("s.csv", &halves), &columns, None, &column).expect("a dataset");
    let test =
        found.leakage(600).pairs.into_iter().find(|pair| pair.splits == [Split::Training, Split::Test]);
    let test = test.expect("all are shared");
    assert_eq!((test.shared + found.counts.of(Split::Validation), test.overlapping), (90, [0, 0]));
}

#[test]
fn wrong_values_are_told_with_their_line_and_remedy() {
    let ground = Ground::new(5);
    let columns = SequenceColumns { sequence: "seq".to_owned(), label: "kind".to_owned() };
    let long = format!("seq,kind\nACGT,a\n{},b\n", "A".repeat(1_000_001));
    let same =
        (0..30).map(|at| "C".repeat(at)).fold(String::new(), |text, bases| text + "A" + &bases + ",a\n");
    let few = "seq,kind\nACGT,a\nACCT,b\n";
    for (text, task, part) in [
        ("seq,kind\nACGT,a\n,b\n", None, "line 3: sequence `` is empty"),
        ("seq,kind\nACGT,a\nAC-GT,b\n", None, "line 3: sequence `AC-GT` is not DNA"),
        (long.as_str(), None, "is longer than 1,000,000 bases"),
        ("seq,kind\nACGT\n", None, "line 2: 1 column; the header has 2"),
        ("seq,class\nACGT,a\n", None, "no column `kind`; it has seq, class"),
        ("seq,kind\nACGT,1\nACGT,2\nACGT,b\n", None, "line 4: label `b` is not a number"),
        ("seq,kind\nACGT,a\nACGT,b\n", Some(TaskKind::Regression), "line 2: label `a` is not a number"),
        ("seq,kind\nACGT,NA\n", None, "no row of"),
        (&format!("seq,kind\n{same}"), None, "all rows are of class `a`; add rows of another one"),
        (few, None, "the validation split is empty; give more rows"),
        ("", None, "no column `seq`"),
    ] {
        let error = Dataset::read_sequences(&ground.file("s.csv", text), &columns, task, &random(3));
        let error = error.expect_err(part).to_string();
        assert!(error.contains(part) && error.contains("s.csv"), "{error}");
    }
    let path = ground.file("s.csv", few);
    let error =
        Dataset::read_sequences(&path, &columns, None, &contigs(&["1"], &["2"])).expect_err("no contigs");
    assert!(error.to_string().contains("split them by a column or at random"), "{error}");
    for (validation_share, test_share) in [(0.5, 0.5), (-0.1, 0.2), (f64::NAN, 0.2)] {
        let options = SplitOptions { validation_share, test_share, ..random(3) };
        let error = Dataset::read_sequences(&path, &columns, None, &options).expect_err("no shares");
        assert!(error.to_string().contains("both together are below 1"), "{error}");
    }
    let mut table = ground.table(2, 100);
    for row in &mut table {
        if row[7] == "train" {
            row[4] = "0".to_owned();
        }
    }
    let error = ground.read(&ground.write(&table), &column()).expect_err("one class").to_string();
    assert!(
        error.contains("all rows in the training split are of class `0`")
            && error.contains("or split otherwise"),
        "{error}"
    );
    let classes = LabelRules { positive: vec!["1".to_owned()], negative: vec!["0".to_owned()], ..rules() };
    let error = ground.read_as(&ground.write(&table), &classes, Some(TaskKind::Regression), &column());
    assert!(error.expect_err("classes").to_string().contains("the task is not a regression"));
}
