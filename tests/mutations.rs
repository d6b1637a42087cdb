//! Seeded mutations of everything that people hand in: an error that names the file, or an answer; never a
//! panic. `make soak` gives each target more rounds.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use vestore::{
    FastaPiece, Filter, ImportError, ImportOptions, KeyColumns, LabelledRow, LabelledRows, QueryPlan, Record,
    RefMismatch, Reference, ReferenceError, Report, Request, Store, VariantSource, annotate, import,
    read_bed, read_fasta,
};
use vestore_schema::{Region, Variant};

use crate::support::{Random, assembly, genome_store, rounds};

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b",",
    b";",
    b":",
    b"-",
    b"=",
    b"\"",
    b"<",
    b"[",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"18446744073709551616",
    b"4294967295",
    b"-1",
    b"1e309",
    b"NaN",
    b"inf",
    b"N",
    b"*",
    b".",
    b"../",
];

/// `bytes` with a few random changes.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let length = (random.below(12) as usize).min(bytes.len() - at);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.splice(at..at, PIECES[random.below(24) as usize].iter().copied())),
            2 => drop(bytes.drain(at..at + length)),
            3 => drop(bytes.splice(at..at + length, PIECES[random.below(24) as usize].iter().copied())),
            4 => {
                let copy = bytes[at..at + length].repeat(1 + random.below(40) as usize);
                bytes.splice(at..at, copy);
            }
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}

/// Hands mutations of the seeds to `target` and says which of them made it panic.
fn hand_in(seeds: &[&[u8]], usual: u64, mut target: impl FnMut(&[u8])) {
    let times = rounds("VESTORE_MUTATIONS", 1);
    for round in 0..usual * times {
        let mut random = Random(round);
        let seed = seeds[random.below(seeds.len() as u64) as usize];
        let bytes = if round < seeds.len() as u64 {
            seeds[round as usize].to_vec()
        } else {
            mutate(seed, &mut random)
        };
        let done = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
        assert!(done.is_ok(), "round {round}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

/// An error tells which file it means.
fn names(error: &dyn std::error::Error, path: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    assert!(told.contains(name), "{told}");
}

const VCF: &[u8] = b"##fileformat=VCFv4.2\n##INFO=<ID=AF,Number=A,Type=Float,Description=\"x\">\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
    chr1\t101\trs1\tA\tC,<DEL>,*\t.\tPASS\tAF=0.1,.,0.3;DB\r\nchr1\t99\t.\tACGT\tA\t30\tq10\t.\n\
    HLA-A*01:01\t5\t.\tN\tG]17:198982]\t.\t.\tAF=1\n";

#[test]
fn variant_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.vcf");
    let many = [b"chr1\t7\t.\tA\t".as_slice(), b"C,".repeat(1000).as_slice(), b"G\n"].concat();
    hand_in(&[VCF, &many, b"BCF\x02\x02\x10\0\0\0##fileformat=VCF\0\x20\0\0\0\0\0\0\0"], 3000, |bytes| {
        fs::write(&path, bytes).unwrap();
        let mut record = Record::default();
        let read = VariantSource::open(&path).and_then(|mut source| {
            while source.read(&mut record)? {
                record.alternates().for_each(drop);
            }
            Ok(())
        });
        if let Err(error) = read {
            names(&error, &path);
        }
    });
}

#[test]
fn region_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.bed");
    let assembly = assembly(&["chr1", "HLA-A*01:01"]);
    hand_in(&[b"track name=x\nchr1\t5\t90\tname\n1 7 8\n#x\nHLA-A*01:01\t0\t100000\r\n"], 3000, |bytes| {
        fs::write(&path, bytes).unwrap();
        match read_bed(&path, &assembly, &mut Report::new()) {
            Err(error) => names(&error, &path),
            Ok(regions) => {
                for region in regions {
                    assert!(
                        region.start <= region.end && region.end <= assembly.contig(region.contig).length
                    );
                }
            }
        }
    });
}

#[test]
fn regions_variants_and_conditions() {
    let assembly = assembly(&["chr1", "chr10", "HLA-A*01:01", "HLA-A*01:01:02", "M"]);
    let seeds: [&[u8]; 7] = [
        b"chr1:43,044,295-43,125,483",
        b"HLA-A*01:01:02-5",
        b"17:5-",
        b"1",
        b"1-55-A-G",
        b"chr10:100:ACG:T",
        b"llr < -3.5e2 and (not cosine >= .1 or track = \"x\\\"y\") and `a.b` is null",
    ];
    hand_in(&seeds, 60_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(region) = Region::parse(&text, &assembly) {
            assert!(region.start < region.end && region.end <= 100_000, "{text:?}: {region:?}");
        }
        if let Some(Ok(variant)) = Variant::parse(&text, &assembly) {
            assert!(variant.position.zero_based() < 100_000 && !variant.reference.is_empty(), "{text:?}");
        }
        drop(Filter::parse(&text));
    });
    // Depth that no stack holds is refused, not tried.
    for deep in ["(".repeat(200_000), "not ".repeat(200_000)] {
        assert!(Filter::parse(&format!("{deep}llr < 1")).is_err());
    }
}

#[test]
fn references_and_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, index) = (folder.path().join("hostile.fa"), folder.path().join("hostile.fa.fai"));
    let fasta: &[u8] = b">chr1 one\nACGTNacgtn\nRYKMAC\n>HLA-A*01:01\nGG\n>chrM\nACGT\n";
    let open = || -> Result<(), vestore::ReferenceError> {
        let mut reference = Reference::open(&path)?;
        let assembly = reference.survey()?;
        for contig in 0..assembly.contigs.len() as u32 {
            let whole = assembly.whole(contig);
            assert_eq!(reference.fetch(whole)?.len() as u32, whole.len());
        }
        Ok(())
    };
    hand_in(&[fasta], 2000, |bytes| {
        fs::write(&path, bytes).unwrap();
        let _ = fs::remove_file(&index);
        if let Err(error) = open() {
            names(&error, &path);
        }
    });
    fs::write(&path, fasta).unwrap();
    hand_in(&[b"chr1\t16\t10\t10\t11\nHLA-A*01:01\t2\t41\t2\t3\nchrM\t4\t50\t4\t5\n"], 2000, |bytes| {
        fs::write(&index, bytes).unwrap();
        // A stale index is made anew or refused, and never believed.
        match open() {
            Err(error) => names(&error, &path),
            Ok(()) => assert_eq!(Reference::open(&path).unwrap().contigs().count(), 3),
        }
    });
}

#[test]
fn genomes_to_learn_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.fa");
    hand_in(&[b">chr1 one\nACGTNacgtn\r\nRYKMAC\n\n>HLA-A*01:01\nGG\n>chrM\nACGT"], 2000, |bytes| {
        fs::write(&path, bytes).unwrap();
        let letters = |piece: FastaPiece<'_>| match piece {
            FastaPiece::Contig(name) => !name.is_empty(),
            FastaPiece::Bases(bases) => !bases.is_empty() && bases.iter().all(u8::is_ascii_alphabetic),
        };
        let read = read_fasta(&path, |piece| {
            assert!(letters(piece), "{piece:?}");
            Ok::<_, ReferenceError>(())
        });
        if let Err(error) = read {
            names(&error, &path);
        }
    });
}

#[test]
fn labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.labels");
    let table = b"#chrom\tpos\tref\talt\tAF\nchr1\t101\tA\tC,G\t0.5\nchr1\t102\tACG\tA\t\"y\tz\"\n";
    hand_in(&[table, b"chrom,pos,ref,alt,AF\n\"chr1\",101,A,C,\"1,2\"\n", VCF], 3000, |bytes| {
        fs::write(&path, bytes).unwrap();
        let read = || -> Result<(), ImportError> {
            let mut rows = LabelledRows::open(&path, &KeyColumns::default(), &["AF"])?;
            let mut row = LabelledRow::default();
            while rows.read(&mut row)? {
                assert!(row.values.len() == 1 && row.of > 0);
            }
            Ok(())
        };
        if let Err(error) = read() {
            names(&error, &path);
        }
    });
}

/// The store that mutations are handed to.
fn store(folder: &Path) -> Store {
    let (store, bases) = genome_store(folder);
    let line = |position: usize| format!("chr1\t{}\t{}\tT\t0.5\n", position + 1, bases[position] as char);
    let lines: String = (100..140).filter(|position| bases[*position] != b'T').map(line).collect();
    let path = folder.join("base.tsv");
    fs::write(&path, format!("chrom\tpos\tref\talt\tscore\n{lines}")).unwrap();
    import(&store, "base", &path, &ImportOptions::default(), "test", |_| {}).unwrap();
    store
}

fn take(store: &Store, path: &Path) {
    match import(store, "hostile", path, &ImportOptions::default(), "test", |_| {}) {
        Ok(_) => drop(store.writer("test").unwrap().remove_track("hostile").unwrap()),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(store.snapshot().unwrap().tracks.iter().all(|track| track.name != "hostile"), "{error}");
        }
    }
}

#[test]
fn tables_of_scores() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let path = folder.path().join("hostile.tsv");
    let table =
        b"#chrom\tpos\tref\talt\tscore\tnote\nchr1\t101\tN\tC\t0.5\tx\nchr1\t102\tACG\tA\t-1e-3\t\"y z\"\n";
    let comma = b"chrom,pos,ref,alt,a,b\n\"chr1\",101,A,C,1,NA\nHLA-A*01:01,5,A,T,.,nan\n";
    hand_in(&[table, comma, VCF], 150, |bytes| {
        fs::write(&path, bytes).unwrap();
        take(&store, &path);
    });
    let parquet = folder.path().join("hostile.parquet");
    let segment = store.root().join(store.all_segments().unwrap()[0].path());
    let whole = fs::read(segment).unwrap();
    hand_in(&[&whole], 100, |bytes| {
        fs::write(&parquet, bytes).unwrap();
        take(&store, &parquet);
    });
    assert_eq!(store.verify(|_| {}).unwrap(), []);
}

#[test]
fn files_to_annotate() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let path = folder.path().join("hostile.vcf");
    hand_in(&[VCF], 400, |bytes| {
        fs::write(&path, bytes).unwrap();
        if let Err(error) = annotate(&plan, &path, None, RefMismatch::Skip, Vec::new()) {
            assert!(!error.to_string().is_empty());
        }
    });
}
