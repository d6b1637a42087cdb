//! `diff`, `export` and `explain` over effects, against the same over scores that hold the same numbers.

use std::fs;
use std::path::Path;

use vestore::{
    Diff, EffectDiffs, EffectRow, PositionValue, QueryPlan, Request, ScoreRow, Store, diff, write_bedgraph,
    write_bigwig,
};
use vestore_schema::{Digest, Position, Region, Status, Track};

use super::{commit, effect_track, names, random_rows};
use crate::programs::{fails, ok};
use crate::support::{Random, ScoreKind, genome_store, new_store, run, track, write};

/// The tracks of effects that are compared, by name.
fn pair(names: &[String]) -> [Track; 2] {
    ["a", "b"].map(|name| Track { id: Digest::of(name.as_bytes()), ..effect_track(name, names) })
}

/// A store of two tracks that share most of their variants, and the rows of each.
fn store_of_pair(root: &Path, random: &mut Random, targets: usize) -> (Store, [Vec<EffectRow>; 2]) {
    let (store, names) = (new_store(root, &["1", "2"]), names(targets));
    let mut writer = store.writer("test").unwrap();
    let mut all = [Vec::new(), Vec::new()];
    for track in &pair(&names) {
        writer.put_track_with_targets(track, &names).unwrap();
    }
    for contig in 0..2 {
        let variants = random_rows(random, &pair(&names)[0], contig, 80);
        for (track, all) in pair(&names).iter().zip(&mut all) {
            let kept = variants.iter().filter(|_| random.below(8) > 0).map(|(row, _)| row.clone());
            let status = |row: &ScoreRow| match row.status {
                Status::NonFinite => Status::Scored,
                status => status,
            };
            let kept: Vec<ScoreRow> = kept.map(|row| ScoreRow { status: status(&row), ..row }).collect();
            let rows: Vec<_> =
                kept.into_iter().map(|row| super::with_effects(random, track, row, targets as u32)).collect();
            for (unit, rows) in rows.chunks(30).enumerate() {
                commit(&mut writer, track, 1 + unit as u64, rows).unwrap();
            }
            all.extend(rows.into_iter().map(|(_, effects)| effects));
        }
    }
    drop(writer);
    (store, all)
}

/// A store whose tracks have as score what `rows` have as effect of a kind on a target.
fn as_scores(root: &Path, rows: &[Vec<EffectRow>; 2], kind: usize, target: usize) -> Store {
    let store = new_store(root, &["1", "2"]);
    let mut writer = store.writer("test").unwrap();
    for (name, rows) in ["a", "b"].into_iter().zip(rows) {
        let track = track(name, ScoreKind::LlrGrid);
        writer.put_track(&track).unwrap();
        let score = |row: &EffectRow| {
            let value = row.effects.get(kind).map(|list| list[target]).filter(|value| value.is_finite());
            let status = if value.is_some() { Status::Scored } else { Status::NonFinite };
            ScoreRow { variant: row.variant.clone(), values: vec![value], status }
        };
        for contig in 0..2 {
            let rows: Vec<_> = rows.iter().filter(|row| row.variant.contig == contig).map(score).collect();
            let segment = write(&mut writer, &track, &rows);
            writer.commit(&[segment], &run(1 + u64::from(contig), &track)).unwrap();
        }
    }
    drop(writer);
    store
}

#[test]
fn effects_compare_as_scores_with_the_same_numbers_do() {
    let mut random = Random(91);
    for targets in [1, 5, 128, 300] {
        let folder = tempfile::tempdir().unwrap();
        let (store, rows) = store_of_pair(&folder.path().join("s"), &mut random, targets);
        let names = names(targets);
        for regions in [vec![], vec![Region { contig: 1, start: 500, end: 2500 }]] {
            let all = EffectDiffs::new(&store, ["a", "b"], "js", &["*".to_owned()], &regions).unwrap();
            let all: Vec<Diff> = all.map(|diff| diff.unwrap()).collect();
            let found: Vec<&str> = all.iter().map(|diff| diff.target.as_deref().unwrap()).collect();
            assert_eq!(found, names);
            for target in [0, targets / 2, targets.min(128) - 1, targets - 1] {
                let scores = folder.path().join(format!("{target}-{}", regions.len()));
                let scores = if scores.exists() { continue } else { as_scores(&scores, &rows, 1, target) };
                let expected = diff(&scores, ["a", "b"], "llr_grid", &regions).unwrap();
                assert!(expected.compared > 10 && expected.only[0] > 0, "{}", expected.compared);
                let (column, target) = ("js".to_owned(), Some(names[target].clone()));
                let name = target.clone().unwrap();
                assert!(all.contains(&Diff { column, target, ..expected }), "{name} of {targets}");
            }
        }
        let same = EffectDiffs::new(&store, ["a", "a"], "log_sum", &[names[0].clone()], &[]).unwrap();
        let same: Vec<Diff> = same.map(|diff| diff.unwrap()).collect();
        assert!(same.len() == 1 && same[0].largest_difference == 0.0 && same[0].only == [0, 0]);
    }
}

#[test]
fn a_line_or_an_object_per_target_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, _) = store_of_pair(&root, &mut Random(92), 6);
    let mut writer = store.writer("test").unwrap();
    let others = names(7);
    let other = Track { id: Digest::of(b"c"), ..effect_track("c", &others) };
    writer.put_track_with_targets(&other, &others).unwrap();
    commit(&mut writer, &other, 9, &random_rows(&mut Random(1), &other, 0, 20)).unwrap();
    let plain = track("plain", ScoreKind::Llr);
    writer.put_track(&plain).unwrap();
    drop(writer);

    let json = ok("diff {} a b --target CAGE* --target RNA-5 --score js --format json", &[&root]);
    let json: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let found: Vec<&str> = json.iter().map(|diff| diff["target"].as_str().unwrap()).collect();
    assert_eq!(found, ["CAGE+0", "CAGE+3", "RNA-5"]);
    let score: serde_json::Value = serde_json::from_str(&ok("diff {} a b --format json", &[&root])).unwrap();
    for diff in &json {
        for figure in score.as_object().unwrap().keys() {
            assert!(!diff[figure].is_null(), "{figure} of {diff}");
        }
    }
    let text = ok("diff {} a b --target * --score js", &[&root]);
    assert!(text.starts_with("kind of effect            js\nrows in both"), "{text}");
    let header = text.lines().position(|line| line.starts_with("target ")).unwrap();
    let lines: Vec<&str> = text.lines().skip(header + 1).collect();
    assert!(lines.len() == 6 && lines.iter().zip(names(6)).all(|(line, name)| line.starts_with(&name)));
    let compared: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!((compared[1], compared.len()), (&*json[1]["compared"].to_string(), 11), "{text}");
    // The first kind that both have.
    assert!(ok("diff {} a b --target RNA-5", &[&root]).starts_with("kind of effect            log_sum\n"));

    let refused = [
        (1, "a c --target *", "effects of track `a` are of other targets than those of `c`"),
        (1, "a b --target * --score sax", "sax"),
        (2, "a b --target RNB-2", "no target matches `RNB-2`; the nearest of 6 are RNA-2"),
        (2, "a plain --target *", "track plain has no effects on targets"),
        (2, "a b --target * --plot x.svg", "cannot be used with"),
    ];
    for (code, words, told) in refused {
        let error = fails(code, &format!("diff {{}} {words}"), &[&root]);
        assert!(error.contains(told), "{words}: {error}");
    }
}

#[test]
fn a_browser_track_of_a_target_is_that_of_scores_with_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, rows) = store_of_pair(&root, &mut Random(93), 200);
    for (kind, target) in [(0, 0), (1, 130), (2, 199)] {
        let (kinds, name) = (["log_sum", "js", "ref"], &names(200)[target]);
        let scores = as_scores(&folder.path().join(format!("scores{kind}")), &rows, kind, target);
        let tracks = vec!["a".to_owned()];
        let expected = QueryPlan::new(&scores, &Request { tracks, ..Request::default() }).unwrap();
        for (value, option) in [(PositionValue::Extreme, "extreme"), (PositionValue::Mean, "mean")] {
            let mut text = Vec::new();
            write_bedgraph(&expected, "llr_grid", value, &mut text).unwrap();
            let numbers = |text: &str| -> Vec<String> {
                text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
            };
            let expected_lines = numbers(&String::from_utf8(text).unwrap());
            assert!(expected_lines.len() > 50);
            let words =
                format!("export {{}} --track a --target {name} --score {} --value {option}", kinds[kind]);
            let found = ok(&format!("{words} --format bedgraph -o -"), &[&root]);
            assert_eq!(numbers(&found), expected_lines);
            assert!(found.contains(&format!("of {} on target {name} per position", kinds[kind])), "{found}");
            let [wanted, made] = ["wanted.bw", "made.bw"].map(|file| folder.path().join(file));
            write_bigwig(&expected, "llr_grid", value, fs::File::create(&wanted).unwrap()).unwrap();
            ok(&format!("{words} --force -o {{}}"), &[&root, &made]);
            assert!(fs::read(&wanted).unwrap() == fs::read(&made).unwrap());
            let about = fs::read_to_string(folder.path().join("made.bw.json")).unwrap();
            let about: serde_json::Value = serde_json::from_str(&about).unwrap();
            assert_eq!((&about["target"], &about["column"]), (&(&**name).into(), &kinds[kind].into()));
        }
    }
    // The first kind, of one region.
    let found = ok("export {} 1:1-1500 --track a --target RNA-2 --format bedgraph -o -", &[&root]);
    assert!(found.contains("of log_sum on target RNA-2 per position"), "{found:.200}");
    assert!(found.lines().all(|line| line.starts_with('#') || line.starts_with("1\t")));
    let refused = [
        (
            "--track a --target CAGE* -o x.bw",
            "`CAGE*` matches 67 targets, such as CAGE+0 and CAGE+3; name one",
        ),
        ("--track a --target nothing -o x.bw", "no target matches `nothing`"),
        ("--track a --target RNA-2 --score sax -o x.bw", "no kind of effect `sax`; it has log_sum, js, ref"),
        ("--track a --target RNA-2 -o x.tsv", "--target is for bedgraph, bigwig and bigbed"),
        ("--target RNA-2 -o x.bw", "choose one with --track, of a, b"),
    ];
    for (words, told) in refused {
        let error = fails(2, &format!("export {{}} {words}"), &[&root]);
        assert!(error.contains(told), "{words}: {error}");
    }
    drop(store);
}

#[test]
fn the_largest_effects_of_a_variant_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = genome_store(folder.path());
    let names = names(300);
    let track = effect_track("t", &names);
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    let rows = random_rows(&mut Random(94), &track, 0, 40);
    commit(&mut writer, &track, 1, &rows).unwrap();
    drop(writer);
    let (mut shown, mut without) = (0, 0);
    for (_, row) in &rows {
        let variant = row.variant.display(store.assembly()).to_string();
        let text = ok(&format!("explain {{}} {variant} --track t"), &[store.root()]);
        if row.status != Status::Scored {
            without += 1;
            assert!(!text.contains("target"), "{text}");
            continue;
        }
        shown += 1;
        let numbers = |target: usize| -> Vec<Option<f32>> {
            row.effects.iter().map(|list| Some(list[target]).filter(|value| value.is_finite())).collect()
        };
        let mut order: Vec<usize> = (0..300).collect();
        let size = |target: &usize| {
            let sizes = numbers(*target).into_iter().take(2).flatten().map(f32::abs);
            sizes.fold(-1.0_f32, f32::max)
        };
        order.sort_by(|a, b| size(b).total_cmp(&size(a)));
        let line = |target: &usize| {
            let text =
                |number: Option<f32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let numbers: Vec<String> = numbers(*target).into_iter().map(text).collect();
            format!("{} {}", names[*target], numbers.join(" "))
        };
        let expected: Vec<String> = order.iter().take(10).map(line).collect();
        let mut lines = text.lines().skip_while(|line| !line.starts_with("targets "));
        assert_eq!(lines.next(), Some("targets   300 targets, the 10 with the largest effect:"));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines.next().unwrap()), "log_sum js ref");
        assert_eq!(lines.map(words).collect::<Vec<_>>(), expected, "{variant}");
    }
    assert!(shown > 20 && without > 0, "{shown} {without}");
}

/// The documented way to the largest effects of a region.
#[test]
fn the_largest_effects_of_a_region_are_found_through_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = genome_store(folder.path());
    let names = names(300);
    let track = effect_track("r0", &names);
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    let mut rows = random_rows(&mut Random(95), &track, 0, 60);
    // Variants of the reference, with effects on scales of their own.
    let (bases, mut random) = (crate::programs::genome(&folder.path().join("copy.fa")), Random(96));
    for (scores, effects) in &mut rows {
        let at = scores.variant.position.zero_based() as usize % 2900;
        let reference = char::from(bases[at]).to_string();
        let alternate = if reference == "A" { "C" } else { "A" };
        scores.variant.position = Position::new(at as u32);
        (scores.variant.reference, scores.variant.alternate) = (reference.into(), alternate.into());
        effects.variant = scores.variant.clone();
        for list in &mut effects.effects {
            for value in list.iter_mut() {
                *value *= 1.0 + random.below(1000) as f32 / 100.0;
            }
        }
        let largest = |kind: usize| {
            let list = effects.effects.get(kind)?;
            list.iter().filter(|value| value.is_finite()).map(|value| value.abs()).reduce(f32::max)
        };
        scores.values = (0..2).map(largest).collect();
    }
    rows.sort_by(|a, b| a.0.variant.cmp(&b.0.variant));
    rows.dedup_by(|a, b| a.0.variant == b.0.variant);
    commit(&mut writer, &track, 1, &rows).unwrap();
    drop(writer);
    let inside = |row: &&EffectRow| (500..2500).contains(&row.variant.position.zero_based());
    let mut expected: Vec<f32> = rows
        .iter()
        .map(|(_, effects)| effects)
        .filter(inside)
        .flat_map(|row| row.effects.first().into_iter().flatten())
        .filter(|value| value.is_finite())
        .map(|value| value.abs())
        .collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    expected.truncate(20);
    let page = fs::read_to_string(crate::programs::workspace().join("docs/regulatory.md")).unwrap();
    let section = page.split("\n### ").find(|section| section.starts_with("The largest effects of a region"));
    let script = section.unwrap().split("```\n").nth(1).unwrap();
    let script = script
        .replace("STORE", store.root().to_str().unwrap())
        .replace("17:43,000,000-43,100,000", "chr1:501-2500")
        .replace("vestore ", &format!("{} ", crate::programs::vestore().display()));
    let output = std::process::Command::new("bash")
        .args(["-eu", "-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<f32> =
        text.lines().map(|line| line.rsplit('\t').next().unwrap().parse::<f32>().unwrap().abs()).collect();
    assert_eq!(found, expected, "{script}\n{text}");
}
