//! Comparison of two tracks against the same done by hand.

use std::collections::BTreeMap;

use vestore::{Request, StoreError, diff, scatter};
use vestore_schema::{Region, Variant};

use crate::support::ScoreKind;

use crate::store::answer;
use crate::support::{Random, new_store, random_row, run, track, write};

#[test]
fn a_comparison_equals_the_same_done_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1", "2"]);
    let tracks = [track("first", ScoreKind::LlrGrid), track("second", ScoreKind::LlrGrid)];
    let mut writer = store.writer("test").unwrap();
    let mut random = Random(6);
    let mut number = 0;
    for contig in 0..2 {
        let mut shared = BTreeMap::new();
        for _ in 0..12_000 {
            let row = random_row(&mut random, &tracks[0], contig, 60_000);
            shared.insert(row.variant.clone(), row);
        }
        for track in &tracks {
            writer.put_track(track).unwrap();
            let mut rows: Vec<_> = shared.values().filter(|_| random.below(10) > 0).cloned().collect();
            for row in &mut rows {
                let noise = random.below(1000) as f32 / 500.0;
                row.values[0] = row.values[0].filter(|_| random.below(10) > 0).map(|value| value + noise);
            }
            let segment = write(&mut writer, track, &rows);
            number += 1;
            writer.commit(&[segment], &run(number, track)).unwrap();
        }
    }
    drop(writer);
    for regions in [vec![], vec![Region { contig: 1, start: 10_000, end: 40_000 }]] {
        let rows = |name: &str| -> BTreeMap<Variant, Option<f32>> {
            let request =
                Request { tracks: vec![name.to_owned()], regions: regions.clone(), ..Request::default() };
            answer(&store, &request).into_iter().map(|row| (row.0, row.2[0])).collect()
        };
        let (first, second) = (rows("first"), rows("second"));
        let found = diff(&store, ["first", "second"], "llr_grid", &regions).unwrap();
        let both: Vec<&Variant> = first.keys().filter(|variant| second.contains_key(*variant)).collect();
        assert_eq!(found.in_both, both.len() as u64);
        assert_eq!(
            found.only,
            [first.len() - both.len(), second.len() - both.len()].map(|count| count as u64)
        );
        let pairs: Vec<(&Variant, f64, f64)> = both
            .iter()
            .filter_map(|variant| Some((*variant, first[*variant]?.into(), second[*variant]?.into())))
            .collect();
        assert_eq!(found.compared, pairs.len() as u64);
        let count = pairs.len() as f64;
        let mean = |of: &dyn Fn(&(&Variant, f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|pair| pair.1), mean(&|pair| pair.2));
        let products = mean(&|pair| (pair.1 - x) * (pair.2 - y));
        let spread = (mean(&|pair| (pair.1 - x).powi(2)) * mean(&|pair| (pair.2 - y).powi(2))).sqrt();
        assert!((found.pearson.unwrap() - products / spread).abs() < 1e-9);
        assert!((found.mean_difference - (y - x)).abs() < 1e-9);
        assert!((found.mean_absolute_difference - mean(&|pair| (pair.2 - pair.1).abs())).abs() < 1e-9);
        let spearman = found.spearman.unwrap();
        assert!(spearman > 0.9 && (spearman - found.pearson.unwrap()).abs() < 0.05, "{spearman}");
        let mut sizes: Vec<f64> = pairs.iter().map(|pair| (pair.2 - pair.1).abs()).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(f64::from(found.largest_difference), f64::from(sizes[0] as f32));
        assert_eq!(found.movers.len(), 10);
        for (mover, size) in found.movers.iter().zip(&sizes) {
            let [a, b] = mover.scores.map(f64::from);
            assert_eq!((b - a).abs(), *size);
            let here = pairs.iter().find(|(variant, ..)| {
                let contig = &store.assembly().contig(variant.contig).name;
                (contig, variant.position.one_based()) == (&mover.contig, mover.one_based)
                    && (&*variant.reference, &*variant.alternate) == (&*mover.reference, &*mover.alternate)
            });
            assert_eq!(here.map(|(_, a, b)| (*a, *b)), Some((a, b)));
        }
        assert_eq!(found.cells.counts.iter().sum::<u64>(), found.compared);
        let svg = scatter(&found);
        assert!(
            svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>") && svg.contains(">second</text>")
        );
    }
    let same = diff(&store, ["first", "first"], "llr_grid", &[]).unwrap();
    assert_eq!((same.only, same.largest_difference), ([0, 0], 0.0));
    assert!((same.spearman.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(same.top_1_percent_overlap, Some(1.0));
    let unknown = diff(&store, ["first", "second"], "nope", &[]).unwrap_err();
    assert!(matches!(&unknown, StoreError::Unknown { known, .. } if known == &["llr_grid"]));
}
