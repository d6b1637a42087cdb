//! Tracks for genome browsers, read back by a reader of our own and by pyBigWig where it is installed.

mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use self::reader::Bbi;
use crate::programs::{fails, ok, said};
use crate::store_export::python;
use crate::support::Random;

const BIGWIG: u32 = 0x888f_fc26;
const BIGBED: u32 = 0x8789_f2eb;
const BASES: [char; 4] = ['A', 'C', 'G', 'T'];

/// Scores by contig, 0-based position, reference and alternate base.
type Scores = BTreeMap<(usize, u32, char, char), f32>;

const CONTIGS: [(&str, usize); 3] = [("1", 12_000), ("MT", 500), ("GL000192.1", 300)];

/// A store with a track `t` of SNVs in stretches, and three indels; the scores of the SNVs in `low`, and in `high`,
/// where they are positive.
fn browser_store(folder: &Path, assembly: &str) -> (PathBuf, Scores, Scores) {
    let mut random = Random(17);
    let (reference, store, table) = (folder.join("r.fa"), folder.join("s"), folder.join("in.tsv"));
    let mut genome = Vec::new();
    let mut fasta = String::new();
    for (name, length) in CONTIGS {
        let bases: String = (0..length).map(|_| BASES[random.below(4) as usize]).collect();
        writeln!(fasta, ">{name}\n{bases}").unwrap();
        genome.push(bases.into_bytes());
    }
    fs::write(&reference, fasta).unwrap();
    let (mut low, mut high) = (Scores::new(), Scores::new());
    let mut text = String::from("chrom\tpos\tref\talt\tlow\thigh\n");
    for (contig, (name, length)) in CONTIGS.iter().enumerate() {
        for position in 0..*length as u32 {
            // A stretch of more positions than one item holds, a gap, and sparse ones.
            let inside = contig > 0 || position < 5000 || (9000..9050).contains(&position);
            if !inside || position % 71 == 3 {
                continue;
            }
            let old = char::from(genome[contig][position as usize]);
            for new in BASES {
                if new == old || random.below(9) == 0 {
                    continue;
                }
                let first = random.below(4_000_000) as f32 / 1e5 - 32.0;
                let second = random.below(1000) as f32 / 1000.0;
                let key = (contig, position, old, new);
                low.insert(key, first);
                let missing = random.below(7) == 0;
                if !missing {
                    high.insert(key, second);
                }
                let second = if missing { String::new() } else { second.to_string() };
                writeln!(text, "{name}\t{}\t{old}\t{new}\t{first}\t{second}", position + 1).unwrap();
            }
        }
    }
    for position in [200_usize, 300, 400] {
        let old = char::from(genome[0][position - 1]);
        writeln!(text, "1\t{position}\t{old}\t{old}{}\t1\t0.5", if old == 'A' { "CG" } else { "AT" })
            .unwrap();
    }
    fs::write(&table, text).unwrap();
    ok(&format!("init {{}} --reference {{}} {assembly}"), &[&store, &reference]);
    ok("import {} --track t {}", &[&store, &table]);
    (store, low, high)
}

/// What a bigWig of one alternate has to hold.
fn of_alternate(scores: &Scores, names: [&str; 3], alternate: char) -> Vec<(String, u32, f32)> {
    let rows = scores.iter().filter(|((.., new), _)| *new == alternate);
    rows.map(|((contig, position, ..), score)| (names[*contig].to_owned(), *position, *score)).collect()
}

fn check_bigwig(path: &Path, expected: &[(String, u32, f32)]) {
    let file = Bbi::open(path, BIGWIG);
    assert_eq!(file.values(), expected, "{}", path.display());
    let sum: f64 = expected.iter().map(|(.., value)| f64::from(*value)).sum();
    assert_eq!(file.summary.0, expected.len() as u64);
    assert!((file.summary.1[2] - sum).abs() < 1e-6 * sum.abs().max(1.0), "{} {sum}", file.summary.1[2]);
    assert!(file.zooms.len() > 2);
    for (reduction, bases, total) in &file.zooms {
        assert_eq!(*bases, expected.len() as u64, "{reduction}");
        assert!((total - sum).abs() < 1e-4 * sum.abs().max(1.0), "{reduction}: {total} {sum}");
    }
    let program = "import pyBigWig, sys\n\
        file = pyBigWig.open(sys.argv[1])\n\
        for contig in sorted(file.chroms()):\n\
        \x20   for start, end, value in file.intervals(contig) or ():\n\
        \x20       for at in range(start, end): print(contig, at, value.hex())\n";
    if let Some(found) = python("pyBigWig", program, &[path]) {
        let mut sorted = expected.to_vec();
        sorted.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut lines = found.lines();
        for (contig, position, value) in sorted {
            let cells: Vec<&str> = lines.next().unwrap().split(' ').collect();
            assert_eq!((cells[0], cells[1].parse()), (&*contig, Ok(position)));
            assert_eq!(hex_float(cells[2]), f64::from(value), "{contig} {position}");
        }
        assert_eq!(lines.next(), None);
    }
}

/// A float as Python's `float.hex` writes it.
fn hex_float(text: &str) -> f64 {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let (digits, exponent) = text.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap() as f64;
    sign * number * 2_f64.powi(exponent.parse::<i32>().unwrap() - 4 * fraction.len() as i32)
}

/// The scores of a heatmap's records; each is checked against the documented form.
fn cells(records: &[(String, u32, u32, Vec<String>)], names: [&str; 3]) -> Scores {
    let mut found = Scores::new();
    let mut last: BTreeMap<usize, u32> = BTreeMap::new();
    for (contig, start, end, columns) in records {
        assert_eq!(columns.len(), 16, "19 columns, three of them binary");
        let contig = names.iter().position(|name| name == contig).unwrap();
        assert!(last.insert(contig, *end).is_none_or(|last| last <= *start), "items are disjoint and ascend");
        let list = |at: usize| -> Vec<&str> {
            let text: &str = &columns[at];
            text.strip_suffix(',').unwrap_or(text).split(',').collect()
        };
        let [_, score, strand, thick_start, thick_end, colour, count] = &columns[..7] else { panic!() };
        assert_eq!([score, strand, colour], ["0", ".", "0"]);
        assert_eq!((thick_start.parse(), thick_end.parse()), (Ok(*start), Ok(*end)));
        let count: usize = count.parse().unwrap();
        assert!(count <= 4096);
        let starts: Vec<u32> = list(8).iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(list(7), vec!["1"; count]);
        assert!(starts.is_sorted_by(|a, b| a < b) && starts.len() == count && starts[0] == 0);
        assert_eq!(start + starts[count - 1] + 1, *end, "the last block ends the item");
        assert_eq!((columns[9].as_str(), columns[10].as_str()), ("4", "A,C,G,T"));
        let bounds: Vec<f32> = list(11).iter().map(|text| text.parse().unwrap()).collect();
        assert!(bounds.len() >= 2 && bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert_eq!(list(12).len(), bounds.len());
        assert!(list(12).iter().all(|colour| colour.len() == 7 && colour.starts_with('#')));
        // As the browser splits them: a comma ends each cell.
        let (scores, labels) = (list(13), list(14));
        assert_eq!(
            (columns[13].matches(',').count(), columns[14].matches(',').count()),
            (4 * count, 4 * count)
        );
        for (cell, (score, label)) in scores.iter().zip(&labels).enumerate() {
            assert_eq!(score.is_empty(), label.is_empty());
            if score.is_empty() {
                continue;
            }
            let (change, shown) = label.split_once(' ').unwrap();
            assert_eq!(shown, *score);
            let (old, new) = change.split_once('>').unwrap();
            let [old, new] = [old, new].map(|base| base.chars().next().unwrap());
            assert_eq!(new, BASES[cell / count]);
            let key = (contig, start + starts[cell % count], old, new);
            assert_eq!(found.insert(key, score.parse().unwrap()), None);
        }
    }
    found
}

#[test]
fn bigwigs_by_alternate_hold_the_snvs() {
    let folder = tempfile::tempdir().unwrap();
    let (store, low, _) = browser_store(folder.path(), "");
    let output = folder.path().join("out");
    let told = said("export {} --format bigwig --by alternate -o {}", &[&store, &output]);
    assert!(told.contains("3 scored variants skipped: not an SNV"), "{told}");
    let names = CONTIGS.map(|(name, _)| name);
    for alternate in BASES {
        check_bigwig(&output.join(format!("t.low.{alternate}.bw")), &of_alternate(&low, names, alternate));
    }
    // One file of a value per position has that of largest absolute size, indels included.
    let mut extremes: BTreeMap<(usize, u32), f32> = BTreeMap::new();
    let indels = [199, 299, 399].map(|position| ((0, position), 1.0));
    for (place, score) in
        low.iter().map(|((contig, position, ..), score)| ((*contig, *position), *score)).chain(indels)
    {
        let known = extremes.entry(place).or_insert(score);
        *known = if score.abs() > known.abs() { score } else { *known };
    }
    let extremes: Vec<_> = extremes
        .into_iter()
        .map(|((contig, position), score)| (names[contig].to_owned(), position, score))
        .collect();
    let path = folder.path().join("x.bw");
    ok("export {} --format bigwig -o {}", &[&store, &path]);
    check_bigwig(&path, &extremes);
    let list: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(output.join("export.json")).unwrap()).unwrap();
    assert_eq!(list["scores"][0]["column"], "low");
    assert_eq!(list["files"].as_array().unwrap().len(), 4);
    // Only what an export wrote gives way.
    assert!(
        fails(1, "export {} --format bigwig --by alternate -o {}", &[&store, &output]).contains("--force")
    );
    ok("export {} --format bigwig --by alternate --score high --force -o {}", &[&store, &output]);
    assert!(output.join("t.high.A.bw").is_file() && !output.join("t.low.A.bw").exists());
    fs::write(output.join("notes.txt"), "mine").unwrap();
    let told = fails(1, "export {} --format bigwig --by alternate --force -o {}", &[&store, &output]);
    assert!(told.contains("notes.txt") && output.join("t.high.A.bw").is_file(), "{told}");
    for (words, part) in [
        ("export {} --format tsv --by alternate -o x.tsv", "--by alternate is for bigwig"),
        (
            "export {} --format bigwig --by alternate --value mean -o x",
            "--value is for one value per position",
        ),
        ("export {} --format bigbed --email a@b.org -o x.bb", "--email and --genome are for track hubs"),
        ("export {} --format bigbed -o -", "cannot be written to a pipe"),
    ] {
        assert!(fails(2, words, &[&store]).contains(part), "{words}");
    }
}

#[test]
fn a_heatmap_holds_the_snvs_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let (store, low, high) = browser_store(folder.path(), "");
    let names = CONTIGS.map(|(name, _)| name);
    for (column, expected, bounds) in [("low", &low, 3), ("high", &high, 2)] {
        let path = folder.path().join(format!("{column}.bb"));
        let told = said(&format!("export {{}} --score {column} -o {{}}"), &[&store, &path]);
        assert!(told.contains("3 scored variants skipped: not an SNV"), "{told}");
        let file = Bbi::open(&path, BIGBED);
        assert_eq!(file.fields, (19, 12));
        let records = file.records();
        assert_eq!(file.count, records.len() as u64);
        assert!(records.len() > 4, "contigs, gaps and long stretches begin items");
        assert_eq!(&cells(&records, names), expected);
        let bases: u64 = records.iter().map(|(_, start, end, _)| u64::from(end - start)).sum();
        assert_eq!(file.summary, (bases, [1.0, 1.0, bases as f64, bases as f64]));
        assert!(file.zooms.iter().all(|(_, found, sum)| *found == bases && *sum == bases as f64));
        assert_eq!(records[0].3[11].split(',').count(), bounds);
        assert_eq!(records[0].3[0], column);
        // Names and types that UCSC documents for heatmaps.
        let fields: Vec<String> = file
            .auto_sql
            .lines()
            .filter_map(|line| line.split_once(';'))
            .map(|(field, _)| field.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            fields,
            [
                "string chrom",
                "uint chromStart",
                "uint chromEnd",
                "string name",
                "uint score",
                "char[1] strand",
                "uint thickStart",
                "uint thickEnd",
                "uint reserved",
                "int blockCount",
                "int[blockCount] blockSizes",
                "int[blockCount] chromStarts",
                "int _rowCount",
                "string[_rowCount] _labels",
                "lstring _colorBounds",
                "lstring _colorValues",
                "lstring _scoreArray",
                "lstring _labelArray",
                "lstring legend",
            ]
        );
        let program = "import pyBigWig, sys\n\
            file = pyBigWig.open(sys.argv[1])\n\
            assert file.isBigBed() and '_scoreArray' in file.SQL().decode()\n\
            for contig, length in sorted(file.chroms().items()):\n\
            \x20   for start, end, text in file.entries(contig, 0, length) or ():\n\
            \x20       print(contig, start, end, text, sep='\\t')\n";
        if let Some(found) = python("pyBigWig", program, &[&path]) {
            let found: BTreeSet<&str> = found.lines().collect();
            let lines: Vec<String> = records
                .iter()
                .map(|(contig, start, end, columns)| {
                    format!("{contig}\t{start}\t{end}\t{}", columns.join("\t"))
                })
                .collect();
            assert_eq!(found, lines.iter().map(String::as_str).collect());
        }
        let about: serde_json::Value = serde_json::from_str(
            &fs::read_to_string(folder.path().join(format!("{column}.bb.json"))).unwrap(),
        )
        .unwrap();
        assert_eq!((&about["column"], &about["track"]["name"]), (&column.into(), &"t".into()));
    }
}

/// Settings that UCSC documents for `hub.txt`, `genomes.txt` and `trackDb.txt` of hubs
/// (goldenPath/help/hgTrackHubHelp.html, trackDb/trackDbHub.html), as far as they could stand here.
const HUB: [&str; 6] = ["hub", "shortLabel", "longLabel", "genomesFile", "email", "descriptionUrl"];
const GENOMES: [&str; 2] = ["genome", "trackDb"];
const TRACK_DB: [&str; 22] = [
    "track",
    "type",
    "shortLabel",
    "longLabel",
    "bigDataUrl",
    "html",
    "visibility",
    "color",
    "altColor",
    "priority",
    "superTrack",
    "parent",
    "compositeTrack",
    "container",
    "aggregate",
    "showSubtrackColorOnUi",
    "autoScale",
    "alwaysZero",
    "maxHeightPixels",
    "viewLimits",
    "graphTypeDefault",
    "style",
];

/// Stanzas of `key value` lines, which empty lines part.
fn stanzas(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        (key.to_owned(), value.to_owned())
    };
    let stanza = |text: &str| {
        let pairs: Vec<_> = text.lines().map(pair).collect();
        let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(map.len(), pairs.len(), "a key once: {text}");
        map
    };
    text.split("\n\n").map(|text| stanza(text.trim_end())).collect()
}

#[test]
fn a_track_hub_has_documented_keys_and_files_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (store, low, high) = browser_store(folder.path(), "--assembly GRCh38.p14");
    let hub = folder.path().join("my hub");
    let told = said("export {} --format hub --email lab@example.org -o {}", &[&store, &hub]);
    assert!(told.contains("2 scores of 1 track") && told.contains("6 scored variants skipped"), "{told}");
    assert!(told.contains("1 contig kept their names") || told.contains("1 contig kept its name"), "{told}");

    let only = |path: &Path, keys: &[&str]| -> BTreeMap<String, String> {
        let found = stanzas(path);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].keys().map(String::as_str).collect::<BTreeSet<_>>(),
            keys.iter().copied().collect()
        );
        found[0].clone()
    };
    let main = only(&hub.join("hub.txt"), &HUB);
    assert_eq!(main["hub"], "my_hub");
    assert!(hub.join(&main["descriptionUrl"]).is_file());
    let genomes = only(&hub.join(&main["genomesFile"]), &GENOMES);
    assert_eq!(genomes["genome"], "hg38");
    let tracks = stanzas(&hub.join(&genomes["trackDb"]));
    let names: BTreeMap<&str, &BTreeMap<_, _>> =
        tracks.iter().map(|stanza| (stanza["track"].as_str(), stanza)).collect();
    assert_eq!(names.len(), tracks.len(), "a name once");
    let (mut files, mut heatmaps) = (BTreeSet::new(), 0);
    for stanza in &tracks {
        for key in stanza.keys() {
            assert!(TRACK_DB.contains(&key.as_str()), "{key} is not documented");
        }
        let name = &stanza["track"];
        assert!(name.starts_with(|letter: char| letter.is_ascii_alphabetic()));
        assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'), "{name}");
        assert!(stanza["shortLabel"].chars().count() <= 17 && stanza["longLabel"].chars().count() <= 76);
        if let Some(parent) = stanza.get("parent") {
            let parent = names[parent.as_str()];
            assert!(parent.contains_key("superTrack") || parent.contains_key("container"));
        }
        let container = stanza.contains_key("superTrack") || stanza.contains_key("container");
        assert_eq!(stanza.contains_key("bigDataUrl"), !container, "{name}");
        if let Some(file) = stanza.get("bigDataUrl") {
            assert!(hub.join(file).is_file() && files.insert(file.clone()), "{file}");
            assert!(stanza.contains_key("parent") && stanza.contains_key("type"));
        }
        if stanza.contains_key("style") {
            heatmaps += 1;
            assert_eq!((stanza["style"].as_str(), stanza["type"].as_str()), ("heatmap", "bigBed 12 +"));
        }
    }
    assert_eq!((files.len(), heatmaps), (10, 2));

    let contigs = ["chr1", "chrM", "GL000192.1"];
    for (column, expected) in [("low", &low), ("high", &high)] {
        for alternate in BASES {
            let path = hub.join(format!("t.{column}.{alternate}.bw"));
            check_bigwig(&path, &of_alternate(expected, contigs, alternate));
        }
        let file = Bbi::open(&hub.join(format!("t.{column}.bb")), BIGBED);
        assert_eq!(&cells(&file.records(), contigs), expected);
    }

    // The sessions open the same files.
    let xml = fs::read_to_string(hub.join("igv-session.xml")).unwrap();
    let attribute = |text: &str, name: &str| -> BTreeSet<String> {
        let start = format!(" {name}=\"");
        let parts = text.split(&start).skip(1);
        parts.map(|part| part.split_once('"').unwrap().0.to_owned()).collect()
    };
    assert_eq!(attribute(&xml, "path"), files);
    assert_eq!(attribute(&xml, "genome"), ["hg38".to_owned()].into());
    assert_eq!(attribute(&xml, "locus"), ["chr1:1-100".to_owned()].into());
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(hub.join("igv-session.json")).unwrap()).unwrap();
    let urls = json["tracks"].as_array().unwrap().iter();
    assert_eq!(urls.map(|track| track["url"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), files);
    assert_eq!((&json["genome"], &json["locus"]), (&"hg38".into(), &"chr1:1-100".into()));

    // The same export has the same bytes.
    let again = folder.path().join("my_hub");
    ok("export {} --format hub --email lab@example.org -o {}", &[&store, &again]);
    for entry in fs::read_dir(&hub).unwrap() {
        let path = entry.unwrap().path();
        assert!(fs::read(&path).unwrap() == fs::read(again.join(path.file_name().unwrap())).unwrap());
    }
    assert_eq!(fs::read_dir(&again).unwrap().count(), 17);
}

#[test]
fn a_hub_needs_a_genome_and_a_contact() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = browser_store(folder.path(), "");
    let hub = folder.path().join("hub");
    for (code, flags, part) in [
        (2, "", "give it with --email"),
        (2, "--email nobody", "invalid address `nobody`"),
        (1, "--email a@b.org", "give it with --genome"),
        (1, "--email a@b.org --genome hg38;x", "invalid genome name: `hg38;x`"),
        (2, "--email a@b.org --genome hg38 --score x", "has no score column `x`"),
        (2, "--email a@b.org --target x", "--target is for"),
    ] {
        let told = fails(code, &format!("export {{}} --format hub {flags} -o {{}}"), &[&store, &hub]);
        assert!(told.contains(part), "{flags}: {told}");
        assert!(!hub.exists(), "{flags}");
    }
    ok("export {} 1:1-40 --format hub --score high --email a@b.org --genome hg19 -o {}", &[&store, &hub]);
    let file = Bbi::open(&hub.join("t.high.T.bw"), BIGWIG);
    let names: Vec<&str> = file.contigs.values().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["chr1", "chrMT", "GL000192.1"]);
    assert!(file.values().iter().all(|(contig, position, _)| contig == "chr1" && *position < 40));
}
