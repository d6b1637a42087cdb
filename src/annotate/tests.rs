use std::fs;
use std::path::Path;
use std::sync::Arc;

use vestore_schema::StoreRecord;

use super::*;
use crate::fixture::bcf_of;
use crate::import::{ImportOptions, import};
use crate::query::Request;
use crate::store::{Disk, Store};

const VCF: &str = "##fileformat=VCFv4.3\n##contig=<ID=1,length=16>\n\
    ##INFO=<ID=DP,Number=1,Type=Integer,Description=\"Depth\">\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
    1\t9\t.\tA\tC,G,T\t.\t.\tDP=3\n1\t2\t.\tC\tG\t.\t.\t.\n1\t2\t.\tC\t.\t.\t.\tDP=1\n\
    1\t5\t.\tAC\tA,ACC\t.\t.\t.\n1\t3\t.\tG\tT\t.\t.\tDP=9\n";

fn store(folder: &Path) -> Store {
    let (fasta, root) = (folder.join("x.fa"), folder.join("store"));
    fs::write(&fasta, ">1\nACGTACGTACGTACGT\n").unwrap();
    let assembly = Reference::open(&fasta).unwrap().survey().unwrap();
    let record = StoreRecord { reference: fasta.to_str().unwrap().to_owned(), copied: false, assembly };
    let store = Store::create(&root, Arc::new(Disk::new(&root)), record).unwrap();
    let table = folder.join("x.tsv");
    let rows = "contig\tposition\treference\talternate\ts\n1\t2\tC\tG\t0.5\n1\t3\tG\tT\t2\n1\t5\tAC\tA\t3\n1\t9\tA\tT\t4\n";
    fs::write(&table, rows).unwrap();
    import(&store, "t", &table, &ImportOptions::default(), "test", |_| {}).unwrap();
    store
}

#[test]
fn files_are_annotated_alike_however_few_records_fit_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    for (name, bytes) in [("x.vcf", VCF.as_bytes().to_vec()), ("x.bcf", bcf_of(VCF))] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let annotated = |bytes: usize| {
            let mut out = Vec::new();
            let found = annotate_within(bytes, &plan, &path, None, RefMismatch::Auto, &mut out).unwrap();
            (out, found)
        };
        let whole = annotated(ALLELE_BYTES);
        assert_eq!((whole.1.records, whole.1.alleles, whole.1.found), (5, 7, 4), "{name}");
        if name == "x.vcf" {
            assert!(String::from_utf8_lossy(&whole.0).contains("\tDP=3;t_s=.,.,4\n"));
        }
        for bytes in [0, 100, 200, 300] {
            assert_eq!(annotated(bytes), whole, "{name} in {bytes} bytes");
        }
    }
}

#[test]
fn records_are_taken_until_their_alleles_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut contigs = Contigs::new(store.assembly());
    let (start, path) = (VCF.find("1\t9").unwrap(), Path::new("x.vcf"));
    let mut taken = |bytes: usize, fields: usize| {
        let mut chunk = Chunk::new(bytes, fields);
        let end = chunk.parse(path, VCF.as_bytes(), start, 0, &mut contigs).unwrap();
        (chunk.records.len(), VCF[..end].matches("\n1\t").count())
    };
    assert_eq!((taken(0, 1), taken(ALLELE_BYTES, 1)), ((1, 1), (5, 5)));
    // As many as there are values for.
    assert_eq!((taken(1000, 1), taken(1000, 100)), ((5, 5), (1, 1)));
}
