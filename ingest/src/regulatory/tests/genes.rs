//! Gene effects of the golden set, from its predictions: as `borzoi_sed` defines them, and as `hound_snpgene` does.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use vestore::{Gene, GeneTable};
use vestore_schema::{
    AblatedPart, Assembly, Contig, Digest, Dtype, Recipe, RegulatoryRecipe, StrandPairs, Strands, Untransform,
};

use super::golden::{Run, json};
use super::support::golden;
use crate::regulatory::exons::genes_of;
use crate::regulatory::kinds::{RegulatoryKind, every_kind};
use crate::regulatory::network::RegulatoryModel;
use crate::regulatory::options::{RegulatoryOptions, regulatory_defaults};
use crate::regulatory::pass::{Alternate, RegulatoryPass};
use crate::regulatory::statistics::{effects, effects_on_bins, quartiles};
use crate::regulatory::targets::TargetTable;
use crate::regulatory::transform::Transform;
use crate::seam::Network as _;

const WINDOW: u32 = 8192;

/// The options of a recipe over genes.
fn options(run: &Run, untransform: Untransform) -> RegulatoryOptions {
    let golden = golden().expect("the golden set");
    let source = run.source(&golden);
    let config = crate::regulatory::regulatory_config(&source).expect("a configuration");
    let table = TargetTable::read(&source.checkpoint.join("targets.txt"), true).expect("a table of targets");
    let regulatory = RegulatoryRecipe {
        untransform: Some(untransform),
        strand_pairs: Some(StrandPairs::Keep),
        genes: Some(Digest::of(b"genes")),
        ..regulatory_defaults(&config, true)
    };
    let recipe = Recipe {
        scores: vec!["gene-sed".to_owned()],
        window: WINDOW,
        strands: Strands::Both,
        dtype: Dtype::F32,
        precision: None,
        part: AblatedPart::default(),
        splice: None,
        regulatory: Some(regulatory),
    };
    RegulatoryOptions::new(&config, table.count(), &recipe, Some(&table)).expect("options")
}

fn numbers(value: &serde_json::Value) -> Vec<i64> {
    value.as_array().expect("a list").iter().map(|number| number.as_i64().expect("a number")).collect()
}

/// A name as the set writes it, as that of a kind: `logSED` is `log-sed`.
fn kind_named(name: &str, prefix: &str) -> &'static RegulatoryKind {
    let name = format!(
        "{prefix}{}",
        ["log", "sqrt"]
            .iter()
            .fold(name.to_owned(), |name, view| { name.replace(view, &format!("{view}-")) })
            .to_lowercase()
    );
    every_kind().into_iter().find(|kind| kind.about.name == name).expect("a kind")
}

#[test]
fn gene_effects_of_both_programs_are_reproduced() {
    let Some(golden) = golden() else { return };
    let run = Run::open(&golden, "borzoi-tiny");
    let windows = json(&golden.join("windows.json"));
    let windows = windows["cases"].as_array().expect("cases");
    let contigs = vec![Contig { name: "chr17".to_owned(), length: 83_257_441, digest: "x".to_owned() }];
    let assembly = Assembly { name: None, contigs };
    let pairs = Tensor::from_slice(&numbers(&run.meta["strand_pair"]));
    let mut compared = 0;
    let columns = run.tensors.keys().filter(|name| name.starts_with("gene.") && !name.contains(".f64"));
    for column in columns {
        let [_, program, side, untransform, strand] =
            column.split('.').collect::<Vec<_>>().try_into().expect("a column");
        let untransform =
            Untransform::ALL.into_iter().find(|it| it.as_str() == untransform).expect("a transform");
        let options = options(&run, untransform);
        let transform = Transform::new(&options, Device::Cpu).expect("memory");
        let (order, prefix) = if program == "sed" { ("sed_order", "gene-") } else { ("stat_order", "") };
        let kinds: Vec<_> =
            run.list(order).expect("an order").iter().map(|name| kind_named(name, prefix)).collect();
        let tracks = Tensor::from_slice(&numbers(&run.meta["gene_tracks"][side]));
        for (row, case) in run.cases("human", "ref").iter().enumerate() {
            let window = windows.iter().find(|window| window["id"] == **case).expect("a window");
            if window["is_snv"] != true || window["window_has_n"] != false {
                continue;
            }
            let known = &run.meta["genes"][case.as_str()];
            let gene = gene(known, side == "plus");
            let table = GeneTable::new(vec![gene], &assembly);
            let start = window["start0"].as_i64().expect("a start");
            let found = genes_of(&table, 0, start, &options).remove(0);
            assert_eq!(found.bins, numbers(&known["bins_majority"]), "{case}");
            assert_eq!(found.forward, side == "plus");
            let profile = |allele: &str| {
                let of = |strand: &str| run.tensors[&format!("pred.human.{allele}.{strand}")].get(row as i64);
                let forward = of("fwd");
                let mean = match strand {
                    "avg" => (&forward + of("rev").flip([1]).index_select(0, &pairs)) * 0.5,
                    _ => forward,
                };
                transform
                    .as_ref()
                    .map_or(mean.shallow_clone(), |transform| transform.undo(&mean).expect("memory"))
            };
            let (reference, alternate) = (profile("ref"), profile("alt"));
            let computed = if program == "sed" {
                let bins = Tensor::from_slice(&found.bins);
                let quartile = quartiles(&reference).expect("memory");
                effects_on_bins(&kinds, [&reference, &alternate], &quartile, &bins)
            } else {
                let bins = Tensor::from_slice(&numbers(&known["bins_any"]));
                effects(&kinds, &reference.index_select(1, &bins), &alternate.index_select(1, &bins))
            };
            let computed = computed.expect("memory").index_select(1, &tracks);
            let expected = run.tensors[column].get(row as i64).to_kind(Kind::Double);
            for (number, kind) in (0..).zip(&kinds) {
                let apart = (computed.get(number) - expected.get(number)).abs().max().double_value(&[]);
                let tolerance = run.meta["atol"][column][number as usize].as_f64().expect("a tolerance");
                assert!(apart <= tolerance, "{column} {case} {}: {apart:.1e}", kind.about.name);
                compared += tracks.size()[0];
            }
            let strand = |answer: &crate::regulatory::options::Answer| answer.of_strand(side == "plus");
            let answered: Vec<i64> = options
                .answers
                .iter()
                .filter_map(strand)
                .map(|place| i64::from(options.read[place]))
                .collect();
            assert_eq!(answered, numbers(&run.meta["gene_tracks"][side]), "targets of the gene's strand");
        }
    }
    assert!(compared > 3000, "{compared}");
}

#[test]
fn embeddings_are_the_activations_below_the_head() {
    let Some(golden) = golden() else { return };
    let run = Run::open(&golden, "borzoi-tiny");
    let windows = json(&golden.join("windows.json"));
    let window = windows["cases"].as_array().expect("cases").iter().find(|window| window["id"] == "c00");
    let window = window.expect("a window");
    let bases = window["seq"]["ref"].as_str().expect("bases").to_ascii_uppercase().into_bytes();
    let at = window["variant_index"].as_u64().expect("an index") as usize;
    let allele = window["alt"].as_str().expect("an allele").as_bytes();
    for of_variant in [false, true] {
        let options = options(&run, Untransform::None);
        let recipe = RegulatoryRecipe { variant_embeddings: of_variant, ..options.recipe.clone() };
        let options = RegulatoryOptions { recipe, strands: Strands::Forward, pairs: None, ..options };
        let options = Arc::new(options.with_embeddings());
        let source = run.source(&golden);
        let head = vestore_schema::Head::Human;
        let model = RegulatoryModel::load(&source, head, Arc::clone(&options), Kind::Float, Device::Cpu);
        let model = model.expect("a model");
        let alternate = Alternate { at, reference: 1, bases: Arc::from(allele) };
        let pass = RegulatoryPass::new(0, Arc::from(bases.as_slice()), vec![alternate], &[0], &options);
        let reading = model.forward(&[&pass], &|| Ok(())).expect("a reading");
        let read = RegulatoryModel::outputs(reading, &[&pass]).expect("numbers").remove(0).0.remove(0);
        let found = Tensor::from_slice(&read);
        let expected = |allele: &str| {
            let name = if of_variant { "act" } else { "act_mean" };
            let all = &run.tensors[&format!("{name}.final.c00.{allele}")];
            if !of_variant {
                return all.to_kind(Kind::Double);
            }
            // The set has some bins; the variant, in the middle of the window, is in one of them.
            let places = numbers(&run.meta["activations"]["final"]["positions"]);
            let bin = (at / 32) as i64 - i64::from(options.cropped);
            let place = places.iter().position(|place| *place == bin).expect("the variant's bin");
            all.select(1, place as i64).to_kind(Kind::Double)
        };
        let (reference, alternate) = (expected("ref"), expected("alt"));
        let expected = Tensor::cat(&[&reference, &(alternate - &reference)], 0);
        assert_eq!(found.size(), expected.size());
        let apart = (found - expected).abs().max().double_value(&[]);
        assert!(apart < 2e-4, "of the variant: {of_variant}: {apart:.1e}");
    }
}

fn gene(known: &serde_json::Value, forward: bool) -> Gene {
    let exons = known["exons"].as_array().expect("exons").iter().map(numbers);
    let exons: Vec<(u32, u32)> = exons.map(|exon| (exon[0] as u32, exon[1] as u32)).collect();
    let start = exons.iter().map(|exon| exon.0).min().unwrap_or(0);
    let end = exons.iter().map(|exon| exon.1).max().unwrap_or(0);
    let none = Vec::new;
    Gene {
        id: "g".to_owned(),
        name: None,
        contig: 0,
        forward,
        start,
        end,
        exon_starts: none(),
        exon_ends: none(),
        borders: none(),
        exons,
    }
}
