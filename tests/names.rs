//! Places by name, wherever places are typed: genes, rsIDs, HGVS; and the tables that they are looked up in.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use vestore::Store;

use crate::programs::{fails, genome, ok, rows, run, said};

/// A store over the seeded genome with scores of every third position of `chr1` up to 1,500; its bases, too.
fn scored(folder: &Path) -> (PathBuf, Vec<u8>) {
    let (fasta, store, table) = (folder.join("genome.fa"), folder.join("store"), folder.join("scores.tsv"));
    let bases = genome(&fasta);
    ok("init {} --reference {}", &[&store, &fasta]);
    let mut text = "chrom\tpos\tref\talt\tscore\n".to_owned();
    for position in (3..1500).step_by(3) {
        let (old, new) = alleles(&bases, position);
        writeln!(text, "1\t{position}\t{old}\t{new}\t{}", position as f32 / 8.0).unwrap();
    }
    fs::write(&table, text).unwrap();
    ok("import {} --track t {}", &[&store, &table]);
    (store, bases)
}

/// Reference and an alternate base at a 1-based position.
fn alleles(bases: &[u8], position: usize) -> (char, char) {
    let old = bases[position - 1];
    (char::from(old), if old == b'A' { 'C' } else { 'A' })
}

fn exon(start: u32, end: u32, gene: &str, name: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!(" gene_name \"{name}\";") };
    format!("chr1\tx\texon\t{start}\t{end}\t.\t+\t.\tgene_id \"{gene}\"; transcript_id \"{gene}.t\";{name}\n")
}

fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Positions of the rows of a query.
fn positions(store: &Path, words: &str) -> Vec<usize> {
    let found = rows(&ok(&format!("query {{}} {words} --format tsv"), &[store]));
    found.iter().map(|row| row["position"].parse().unwrap()).collect()
}

fn thirds(range: std::ops::RangeInclusive<usize>) -> Vec<usize> {
    range.filter(|position| position % 3 == 0 && (3..1500).contains(position)).collect()
}

#[test]
fn a_gene_is_its_region_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = scored(folder.path());
    let told = fails(1, "query {} GENE1", &[&store]);
    assert!(told.contains("no contig `GENE1`") && told.contains("vestore genes add"), "{told}");
    let gtf = [
        exon(101, 150, "ENSG1.4", "GENE1"),
        exon(301, 400, "ENSG1.4", "GENE1"),
        exon(901, 950, "ENSG2.1", "GENE2"),
        exon(1001, 1010, "ENSG3.1", ""),
    ];
    let gtf = put(folder.path(), "genes.gtf", &gtf.concat());
    assert!(said("genes add {} {}", &[&store, &gtf]).contains("3 genes"));
    let expected = thirds(101..=400);
    for name in ["GENE1", "ENSG1.4", "ENSG1"] {
        assert_eq!(positions(&store, name), expected, "{name}");
    }
    assert_eq!(positions(&store, "GENE2 ENSG3"), [thirds(901..=950), thirds(1001..=1010)].concat());
    // The same where regions alone are typed.
    for command in ["diff {} t t NAME --format json", "export {} NAME -o - --format tsv"] {
        let [named, typed] =
            ["GENE1", "chr1:101-400"].map(|place| ok(&command.replace("NAME", place), &[&store]));
        assert!(named == typed && !named.is_empty(), "{command}: {named}");
    }
    let told = fails(1, "query {} GENE3", &[&store]);
    assert!(told.contains("and no gene of this name; near genes: GENE1, GENE2"), "{told}");
    for command in ["diff {} t t GENE3", "export {} GENE3 -o - --format tsv"] {
        assert!(fails(1, command, &[&store]).contains("near genes: GENE1"), "{command}");
    }
    // Contigs and regions come first, whatever genes are called.
    let odd = [exon(201, 210, "short", "chr1"), exon(211, 220, "1", "chr1:5")].concat();
    let odd = put(folder.path(), "odd.gtf", &odd);
    said("genes add {} {}", &[&store, &odd]);
    assert_eq!(positions(&store, "chr1").len(), positions(&store, "").len());
    assert_eq!(positions(&store, "short"), Vec::<usize>::new());
    assert!(ok("verify {} --quiet", &[&store]).is_empty());
}

#[test]
fn a_name_of_several_places_is_refused_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = scored(folder.path());
    let one = [exon(101, 200, "A1", "TWIN"), exon(301, 400, "A2", "TWIN"), exon(501, 600, "B", "SAME")];
    let other = [exon(501, 600, "b", "SAME"), exon(601, 700, "c", "OTHER")];
    let more = [exon(603, 700, "d", "OTHER")];
    for (name, lines) in [("one.gtf", &one[..]), ("other.gtf", &other), ("more.gtf", &more)] {
        let file = put(folder.path(), name, &lines.concat());
        said("genes add {} {}", &[&store, &file]);
    }
    let told = fails(1, "query {} TWIN", &[&store]);
    for part in ["several places", "chr1:101-200 (A1, one.gtf)", "chr1:301-400 (A2, one.gtf)"] {
        assert!(told.contains(part), "{told}");
    }
    let told = fails(1, "query {} OTHER", &[&store]);
    assert!(
        told.contains("chr1:601-700 (c, other.gtf)") && told.contains("chr1:603-700 (d, more.gtf)"),
        "{told}"
    );
    assert_eq!(positions(&store, "SAME"), thirds(501..=600));
}

#[test]
fn gff3_is_the_table_that_gtf_is() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = scored(folder.path());
    let gff = "##gff-version 3\n\
        chr1\tx\texon\t101\t150\t.\t-\t.\tParent=transcript:T1;Name=e1\n\
        chr1\tx\tgene\t90\t400\t.\t-\t.\tID=gene:G1;Name=GENE%2C1;gene_id=G1\n\
        chr1\tx\tmRNA\t90\t400\t.\t-\t.\tID=transcript:T1;Parent=gene:G1\n\
        chr1\tx\texon\t301\t400\t.\t-\t.\tParent=transcript:T1,transcript:T2\n\
        chr1\tx\tmRNA\t90\t400\t.\t-\t.\tID=transcript:T2;Parent=gene:G1\n\
        chr1\tx\tCDS\t301\t390\t.\t-\t0\tID=CDS:1;Parent=transcript:T1\n\
        chr1\tx\tpseudogene\t501\t520\t.\t+\t.\tID=gene-P;Name=P\n\
        chr1\tx\texon\t501\t520\t.\t+\t.\tID=id-1;Parent=gene-P\n\
        chr1\tx\tregion\t1\t6000\t.\t+\t.\tID=chr1;Name=1\n\
        9\tx\texon\t301\t400\t.\t-\t.\tParent=elsewhere\n##FASTA\n>chr1\nACGT\n";
    let gtf = "chr1\tx\texon\t101\t150\t.\t-\t.\tgene_id \"G1\"; transcript_id \"T1\";\n\
        chr1\tx\texon\t301\t400\t.\t-\t.\tgene_id \"G1\"; transcript_id \"T1\";\n\
        chr1\tx\texon\t301\t400\t.\t-\t.\tgene_id \"G1\"; transcript_id \"T2\";\n\
        chr1\tx\texon\t501\t520\t.\t+\t.\tgene_id \"P\"; transcript_id \"P\";\n";
    let digest = |text: String| text.split("digest ").nth(1).unwrap()[..64].to_owned();
    let gtf = put(folder.path(), "a.gtf", gtf);
    let first = digest(said("genes add {} {}", &[&store, &gtf]));
    assert!(fails(1, "query {} GENE,1", &[&store]).contains("near genes: G1, P"));
    // The same genes, now with names: what was scored with them stays valid.
    let gff = put(folder.path(), "a.gff3", gff);
    let told = said("genes add {} {}", &[&store, &gff]);
    assert_eq!(digest(told.clone()), first);
    assert!(told.contains("the store keeps it"), "{told}");
    assert!(said("genes add {} {}", &[&store, &gff]).contains("already in the store"));
    for name in ["GENE,1", "G1"] {
        assert_eq!(positions(&store, name), thirds(101..=400), "{name}");
    }
    assert_eq!(positions(&store, "P"), thirds(501..=520));
    // Names are not taken away by a file that has none.
    assert!(said("genes add {} {}", &[&store, &gtf]).contains("already in the store"));
    assert_eq!(positions(&store, "GENE,1"), thirds(101..=400));
    assert_eq!(fs::read_dir(store.join("genes")).unwrap().count(), 2, "the older names were removed");
    for (text, part) in [
        ("chr1\tx\texon\t1\t9\t.\t+\t.\tParent=no\n", "line 2: Parent `no` is not the ID of a feature"),
        (
            "chr1\tx\tgene\t1\t9\t.\t+\t.\tID=a;Parent=a\nchr1\tx\texon\t1\t9\t.\t+\t.\tParent=a\n",
            "lies below itself",
        ),
        ("chr1\tx\texon\t1\t9\t.\t+\t.\tName=x\n", "lack Parent"),
        ("chr1\tx\tgene\t1\t9\t.\t+\t.\tID=a%0Ab\n", "control characters"),
        ("chr1\tx\tgene\t1\t9\t.\t+\t.\tID=a%FF\n", "UTF-8"),
        ("chr1\tx\tgene\t1\t9\t.\n", "nine columns"),
        ("chr1\tx\tgene\t1\t9\t.\t+\t.\tID=a\n", "holds no gene"),
        ("chr1\tx\tgene\t1\t9\t.\t+\t.\tID=a\nchr1\tx\texon\t1\t9\t.\t?\t.\tParent=a\n", "expected + or -"),
    ] {
        let bad = put(folder.path(), "bad.gff3", &format!("##gff-version 3\n{text}"));
        let told = fails(1, "genes add {} {}", &[&store, &bad]);
        assert!(told.contains(part), "{text}: {told}");
    }
}

#[test]
fn hgvs_names_are_variants() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = scored(folder.path());
    let (old, new) = alleles(&bases, 300);
    for name in [format!("chr1:g.300{old}>{new}"), format!("1:g.300{old}>{new}")] {
        assert_eq!(positions(&store, &name), [300], "{name}");
    }
    let told = fails(1, &format!("query {{}} chr1:g.300{new}>{old}"), &[&store]);
    assert!(told.contains(&format!("states {new} at chr1:300, where the reference has {old}")), "{told}");
    assert!(fails(2, "query {} NM_1.2:c.5A>T", &[&store]).contains("HGVS `c.` names are not supported"));
    // The contig is shorter, a slice.
    assert_eq!(positions(&store, &format!("NC_000001.11:g.300{old}>{new}")), [300]);
    assert_eq!(positions(&store, "NC_000001.11:300-300"), [300]);
    assert!(fails(1, "query {} NC_000001.9:5-6", &[&store]).contains("unknown accession"));
    let told = fails(2, &format!("diff {{}} t t chr1:g.300{old}>{new}"), &[&store]);
    assert!(told.contains("names a variant; expected a region"), "{told}");
}

#[test]
fn rs_ids_are_the_variants_that_a_table_names() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = scored(folder.path());
    assert!(fails(1, "query {} rs7", &[&store]).contains("vestore ids add"));
    let line = |position: usize, id: &str, info: &str| {
        let (old, new) = alleles(&bases, position);
        format!("1\t{position}\t{id}\t{old}\t{new},<DEL>\t.\t.\t{info}\n")
    };
    let text = [
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n".to_owned(),
        line(303, "rs9", "."),
        line(300, "rs7;COSM1", "RS=8"),
        line(600, "12345", "AF=0.1;RS=11"),
        line(900, "rs9", "."),
        line(903, ".", "."),
        "9\t5\trs10\tA\tC\t.\t.\t.\n".to_owned(),
    ];
    let file = put(folder.path(), "ids.vcf", &text.concat());
    let told = said("ids add {} {}", &[&store, &file]);
    for part in
        ["ids.vcf: 3 ids with 4 variants", "6 records, 1 without an rsID", "5 alternate alleles left out"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(said("ids add {} {}", &[&store, &file]).contains("already in the store"));
    assert_eq!(positions(&store, "rs7"), [300]);
    assert_eq!(positions(&store, "RS9 rs11"), [303, 600, 900]);
    for id in ["rs8", "rs10", "rs12"] {
        let told = fails(1, &format!("query {{}} {id}"), &[&store]);
        assert!(told.contains(&format!("no id table of the store has `{id}`")), "{told}");
    }
    assert!(ok("explain {} rs7 --track t", &[&store]).contains("chr1-300-"));
    assert!(fails(2, "explain {} rs9 --track t", &[&store]).contains("names several variants: chr1-303-"));
    assert!(
        fails(2, "export {} rs7 -o - --format tsv", &[&store]).contains("names a variant; expected a region")
    );
    // Published, and read from there.
    let published = folder.path().join("published");
    ok("publish {} {}", &[&store, &published]);
    assert_eq!(positions(&published, "rs9"), [303, 900]);
    assert!(ok("verify {} --quiet", &[&published]).is_empty());

    // Damage is found, and mended by adding the file again.
    let kept = fs::read_dir(store.join("ids")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&kept).unwrap();
    let mut changed = whole.clone();
    changed[5] ^= 1;
    fs::write(&kept, &changed).unwrap();
    assert!(fails(1, "query {} rs7", &[&store]).contains("add it again with `vestore ids add`"));
    let found = String::from_utf8(run("verify {}", &[&store]).stdout).unwrap();
    assert!(found.contains("checksum") && found.contains("id table `ids.vcf`"), "{found}");
    said("ids add {} {}", &[&store, &file]);
    assert_eq!(fs::read(&kept).unwrap(), whole);
    assert!(ok("verify {} --quiet", &[&store]).is_empty());
}

#[test]
fn files_that_are_no_id_tables_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = scored(folder.path());
    let head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
    let mut other = String::new();
    for position in 10..400 {
        let (old, new) = alleles(&bases, position);
        writeln!(other, "1\t{position}\trs{position}\t{new}\t{old}\t.\t.\t.").unwrap();
    }
    for (text, part) in [
        ("", "has no rsID"),
        ("1\t5\t.\tA\tC\t.\t.\t.\n", "has no rsID"),
        ("7\t5\trs5\tA\tC\t.\t.\t.\n", "no record is on a contig"),
        ("1\tx\trs5\tA\tC\t.\t.\t.\n", "line 3: POS `x`"),
        ("1 5 rs5 A C\n", "not a VCF line"),
        (&other, "assembly"),
    ] {
        let file = put(folder.path(), "bad.vcf", &format!("{head}{text}"));
        let told = fails(1, "ids add {} {}", &[&store, &file]);
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(Store::open(&store).unwrap().id_tables().unwrap().is_empty());
    // What a failure left is removed by the next writer.
    let file = put(folder.path(), "genes.gtf", &exon(101, 150, "G", "G"));
    ok("genes add {} {}", &[&store, &file]);
    assert!(!store.join("ids").exists() || fs::read_dir(store.join("ids")).unwrap().next().is_none());
    assert!(ok("verify {} --quiet", &[&store]).is_empty());
}
