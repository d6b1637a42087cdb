use super::*;
use crate::fixture::{Random, random_bases};

fn allele(random: &mut Random) -> Box<str> {
    let length = if random.below(50) == 0 { 3000 } else { 1 + random.below(8) as usize / 7 };
    String::from_utf8(random_bases(random, length)).unwrap().into()
}

fn rows(seed: u64, count: usize) -> Vec<(Variant, Option<Status>)> {
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| {
            let variant = Variant {
                contig: random.below(3) as u32,
                position: Position::new(random.below(count as u64 / 8) as u32),
                reference: allele(&mut random),
                alternate: allele(&mut random),
            };
            let status = [None, None, Some(Status::RefMismatch), Some(Status::Symbolic)];
            (variant, status[random.below(4) as usize])
        })
        .collect()
}

fn sorted(rows: &[(Variant, Option<Status>)], memory: usize) -> (Sorted, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut sort = Sort::new(memory, folder.path().into());
    for (variant, status) in rows {
        sort.push(variant, *status).unwrap();
    }
    let runs = sort.spilled.as_ref().map_or(0, |spilled| spilled.runs.len());
    let sorted = sort.finish().unwrap();
    if let Rows::Spilled { _folder: spilled, .. } = &*sorted.rows {
        assert_eq!(std::fs::read_dir(spilled.path()).unwrap().count(), 1, "only the whole is left");
    }
    // The folder above it may go: nothing else may depend on it.
    let kept = folder.keep();
    drop(kept);
    (sorted, runs)
}

fn read(sorted: &Sorted, from: u64) -> Vec<(Variant, Option<Status>)> {
    sorted.read(from).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What the standard library's sort makes of the same rows.
fn wanted(rows: &[(Variant, Option<Status>)]) -> Vec<(Variant, Option<Status>)> {
    let mut wanted = rows.to_vec();
    wanted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.is_some().cmp(&b.1.is_some())));
    wanted.dedup_by(|later, first| later.0 == first.0);
    wanted
}

#[test]
fn any_memory_gives_the_same_rows_digest_and_duplicates() {
    let rows = rows(11, 20_000);
    let wanted = wanted(&rows);
    let (in_memory, runs) = sorted(&rows, 64 << 20);
    assert_eq!((runs, in_memory.duplicates()), (0, (rows.len() - wanted.len()) as u64));
    assert!(in_memory.duplicates() > 100);
    assert_eq!(read(&in_memory, 0), wanted);
    for (memory, least_runs) in [(1 << 20, 2), (32 << 10, FAN_IN), (4 << 10, FAN_IN * FAN_IN / 8)] {
        let (spilled, runs) = sorted(&rows, memory);
        assert!(runs >= least_runs, "{runs} runs in {memory} bytes");
        assert_eq!(read(&spilled, 0), wanted);
        assert_eq!(spilled.digest(), in_memory.digest());
        assert_eq!(spilled.duplicates(), in_memory.duplicates());
        assert_eq!(spilled.len(), wanted.len() as u64);
    }
}

#[test]
fn repeats_are_kept_in_their_order_when_asked_for() {
    let rows: Vec<_> = rows(13, 4000).into_iter().chain(self::rows(13, 4000)).collect();
    let mut wanted: Vec<(Variant, Option<Status>, f32)> = rows
        .iter()
        .enumerate()
        .map(|(at, (variant, status))| (variant.clone(), *status, at as f32))
        .collect();
    wanted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.is_some().cmp(&b.1.is_some())));
    for memory in [64 << 20, 64 << 10, 4 << 10] {
        let folder = tempfile::tempdir().unwrap();
        let mut sort = Sort::with_repeats(0, memory, folder.path().into());
        for (at, (variant, status)) in rows.iter().enumerate() {
            sort.push_valued(variant, *status, &[at as f32]).unwrap();
        }
        let mut read = sort.into_rows().unwrap();
        for (variant, status, value) in &wanted {
            assert_eq!(
                read.next_valued().unwrap(),
                Some((variant.clone(), *status, vec![*value])),
                "{memory}"
            );
        }
        assert!(read.next_valued().unwrap().is_none());
    }
}

#[test]
fn repeats_are_ordered_by_as_many_of_their_values_as_asked_for() {
    let variant = rows(1, 8)[0].0.clone();
    let mut random = Random::new(5);
    let values: Vec<[f32; 2]> =
        (0..500).map(|at| [f32::from_bits(random.below(9) as u32), f32::from_bits(at)]).collect();
    let mut wanted = values.clone();
    wanted.sort_by_key(|[first, _]| first.to_bits());
    for memory in [64 << 20, 4 << 10] {
        let folder = tempfile::tempdir().unwrap();
        let mut sort = Sort::with_repeats(1, memory, folder.path().into());
        for values in &values {
            sort.push_valued(&variant, None, values).unwrap();
        }
        let mut read = sort.into_rows().unwrap();
        let found: Vec<Vec<f32>> =
            std::iter::from_fn(|| read.next_valued().unwrap().map(|(_, _, values)| values)).collect();
        assert_eq!(found, wanted, "{memory}");
    }
}

#[test]
fn few_runs_of_long_rows_are_merged_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut sort = Sort::new(256 << 10, folder.path().into());
    let variant = |number: usize| Variant {
        contig: 0,
        position: Position::new((number * 7 % 40) as u32),
        reference: "A".repeat(50_000).into(),
        alternate: "C".into(),
    };
    (0..40).try_for_each(|number| sort.push(&variant(number), None)).unwrap();
    let runs = &sort.spilled.as_ref().unwrap().runs;
    assert!(runs.len() > 3, "{} runs", runs.len());
    // Each has a frame of a row, stored and expanded.
    assert_eq!(sort.fan_in(runs), 2);
    let found: Vec<u32> = sort.into_rows().unwrap().map(|row| row.unwrap().0.position.zero_based()).collect();
    assert!(found.iter().copied().eq(0..40), "{found:?}");
}

#[test]
fn begins_of_alleles_order_as_alleles_do() {
    let mut random = Random::new(6);
    let mut allele = || -> Box<str> {
        (0..random.below(4)).map(|_| char::from([0, 1, b'A', b'C', b'Z'][random.below(5) as usize])).collect()
    };
    let encoded: Vec<Vec<u8>> = (0..300)
        .map(|_| {
            let variant =
                Variant { contig: 0, position: Position::new(0), reference: allele(), alternate: allele() };
            let mut bytes = Vec::new();
            super::encode(&variant, None, &mut bytes);
            bytes
        })
        .collect();
    for a in encoded.iter().map(|bytes| Row::first_of(bytes)) {
        for b in encoded.iter().map(|bytes| Row::first_of(bytes)) {
            let order = a.alleles_prefix().cmp(&b.alleles_prefix());
            assert!(order.is_eq() || order == a.compare_variant(b), "{a:?} {b:?}");
        }
    }
}

#[test]
fn reading_starts_at_any_row_any_number_of_times() {
    let rows = rows(12, 3000);
    let wanted = wanted(&rows);
    for memory in [64 << 20, 32 << 10] {
        let (sorted, _) = sorted(&rows, memory);
        for from in [0, 1, 500, wanted.len() - 1, wanted.len(), wanted.len() + 5] {
            assert_eq!(read(&sorted, from as u64), wanted[from.min(wanted.len())..], "from {from}");
        }
    }
    let (empty, _) = sorted(&[], 1024);
    assert_eq!((empty.len(), read(&empty, 0).len()), (0, 0));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let mut sort = Sort::new(1, PathBuf::from("/nonexistent"));
    let error = sort.push(&rows(1, 8)[0].0, None).unwrap_err();
    assert!(error.to_string().contains("cannot create temporary file /nonexistent"), "{error}");
}
