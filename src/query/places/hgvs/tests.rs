use std::sync::Arc;

use super::*;
use crate::store::Disk;
use vestore_schema::StoreRecord;

/// `1` is ACGTTTGCAA…, with a repeat of CA at its end; `MT` another sequence.
fn store(folder: &std::path::Path) -> Store {
    let fasta = folder.join("genome.fa");
    std::fs::write(&fasta, ">1\nACGTTTGCAANNGGATTCACACACAG\n>MT\nGATCACAGGT\n>chrM2\nACGT\n").unwrap();
    let assembly = Reference::open(&fasta).unwrap().survey().unwrap();
    let record = StoreRecord { reference: fasta.to_string_lossy().into_owned(), copied: false, assembly };
    let root = folder.join("store");
    Store::create(&root, Arc::new(Disk::new(&root)), record).unwrap()
}

fn told(store: &Store, text: &str) -> Result<String, HgvsError> {
    let name = Name::split(text).unwrap_or_else(|| panic!("{text} has the form of a name"));
    name.variant(store).map(|variant| variant.display(store.assembly()).to_string())
}

#[test]
fn genomic_names_are_variants_in_normal_form() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (text, variant) in [
        ("1:g.2C>T", "1-2-C-T"),
        ("chr1:g.2c>t", "1-2-C-T"),
        ("1:g.4_6del", "1-3-GTTT-G"),
        ("1:g.5del", "1-3-GT-G"),
        ("1:g.6delT", "1-3-GT-G"),
        ("1:g.1del", "1-1-AC-C"),
        ("1:g.26del", "1-25-AG-A"),
        ("1:g.6dup", "1-3-G-GT"),
        ("1:g.24_25dup", "1-17-T-TCA"),
        ("1:g.24_25dupCA", "1-17-T-TCA"),
        ("1:g.25_26insCA", "1-17-T-TCA"),
        ("1:g.2_3insTT", "1-2-C-CTT"),
        ("1:g.1_2delinsGT", "1-1-AC-GT"),
        ("1:g.1_2delACinsGT", "1-1-AC-GT"),
        ("1:g.2delinsTT", "1-2-C-TT"),
        ("1:g.1_2delinsAG", "1-2-C-G"),
        ("MT:m.3T>C", "MT-3-T-C"),
        ("chrM:m.3T>C", "MT-3-T-C"),
        ("MT:g.3T>C", "MT-3-T-C"),
        ("m.3T>C", "MT-3-T-C"),
    ] {
        assert_eq!(told(&store, text).unwrap_or_else(|error| panic!("{text}: {error}")), variant, "{text}");
    }
}

#[test]
fn what_is_not_a_genomic_name_of_this_reference_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (text, part, usage) in [
        ("NM_007294.4:c.68_69del", "HGVS `c.` names are not supported", true),
        ("NP_009225.1:p.Glu23fs", "HGVS `p.` names are not supported", true),
        ("c.68-2A>G", "VariantValidator", true),
        ("g.5A>T", "HGVS name without a sequence", true),
        ("1:g.2T>C", "states T at 1:2, where the reference has C", false),
        ("1:g.1_3delACC", "states ACC at 1:1-3, where the reference has ACG", false),
        ("1:g.1_3dupA", "do not match positions 1 to 3", false),
        ("1:g.1AC>GT", "write `1_2delins…`", false),
        ("1:g.2=", "changes nothing", false),
        ("1:g.2C=", "changes nothing", false),
        ("1:g.1_2delinsAC", "changes nothing", false),
        ("1:g.5_4del", "first position follows", false),
        ("1:g.5_7insA", "two neighbouring positions", false),
        ("1:g.5insA", "two neighbouring positions", false),
        ("1:g.1_26del", "deletes a whole contig", false),
        ("1:g.27A>T", "beyond the end", false),
        ("1:g.99999999999999999999A>T", "not an HGVS change", true),
        ("1:g.0A>T", "not an HGVS change", true),
        ("1:g.A>T", "not an HGVS change", true),
        ("1:g.5A>", "not an HGVS change", true),
        ("1:g.5A>X", "not an HGVS change", true),
        ("1:g.5_6ins", "not an HGVS change", true),
        ("1:g.5_6ins10", "not an HGVS change", true),
        ("1:g.5del5", "not an HGVS change", true),
        ("1:g.5", "not an HGVS change", true),
        ("1:g.5_6inv", "inversions and conversions", false),
        ("1:g.(4_6)del", "uncertain positions", false),
        ("1:g.18_19CA[9]", "uncertain positions, repeats", false),
        ("1:m.2C>T", "`m.` is for mitochondrial sequences; write `1:g.2C>T`", false),
        ("2:g.2C>T", "no contig `2`", false),
        ("NC_000001.11:g.2T>C", "states T at 1:2, where the reference has C", false),
    ] {
        let error = told(&store, text).expect_err(text);
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(error.is_usage(), usage, "{text}: {error}");
    }
}

#[test]
fn regions_variants_and_genes_are_no_names() {
    for text in [
        "17:5",
        "17-5-A-T",
        "17:5:A:T",
        "BRCA1",
        "ENSG00000012048.23",
        "g",
        "x.5A>T",
        ":",
        "1:g.",
        "AC012345.6",
    ] {
        assert_eq!(Name::split(text), None, "{text}");
    }
}
