//! Tables of targets and the files that they name.

use super::support::{Genome, HEADER, PLAIN, bases, bigwig, gzip};
use crate::coverage::source::Interval;
use crate::coverage::{BinLayout, CoverageTargets};
use crate::random::Random;

const BINS: BinLayout = BinLayout { resolution: 10, first: 1, count: 8 };

fn genome() -> Genome {
    let mut random = Random::new(1);
    Genome::new(&[("chr1", bases(&mut random, 500)), ("chr2", bases(&mut random, 300))])
}

fn interval(start: u32, end: u32, value: f32) -> Interval {
    Interval { start, end, value }
}

#[test]
fn a_table_that_cannot_be_is_refused() {
    let genome = genome();
    genome.write("a.bed", "chr1\t0\t10\n");
    genome.write("b.bed", "chr1\t0\t10\n");
    genome.write("c.txt", "chr1\t0\t10\n");
    genome.write("d.bw", "chr1\t0\t10\n");
    genome.write("e.bed", 0x8789_f2eb_u32.to_le_bytes());
    genome.write("f.w5", b"\x89HDF\r\n");
    genome.write("g.bw", 0x888f_fc26_u32.to_be_bytes());
    let good = "A\ta.bed\t9\t\t1\tsum";
    for (lines, message) in [
        (&["A\tnone.bed\t\t\t1\tsum"][..], "line 2: invalid file `none.bed`; expected a file, found from `"),
        (&["A\t\t\t\t1\tsum"], "line 2: invalid file ``"),
        (
            &[good, "A\tb.bed\t\t\t1\tsum"],
            "line 3: invalid identifier `A`; expected another one than in line 2",
        ),
        (
            &[good, "B\t./a.bed\t\t\t1\tsum"],
            "line 3: invalid file `./a.bed`; expected another file than in line 2",
        ),
        (
            &["A\ta.bed\t\t\t1\tmedian"],
            "line 2: invalid sum_stat `median`; expected one of sum, sum_sqrt, mean, avg, mean_sqrt, \
             avg_sqrt, max",
        ),
        (&["A\ta.bed\t-1\t\t1\tsum"], "line 2: invalid clip `-1`; expected a positive number"),
        (
            &["A\tc.txt\t\t\t1\tsum"],
            "its name does not say what text it is; expected a bigWig, or BED (`.bed`",
        ),
        (&["A\td.bw\t\t\t1\tsum"], "it does not begin as a bigWig does"),
        (&["A\te.bed\t\t\t1\tsum"], "it is a bigBed"),
        (&["A\tf.w5\t\t\t1\tsum"], "it is an HDF5 file"),
        (&["A\tg.bw\t\t\t1\tsum"], "it is a bigWig in big-endian byte order"),
    ] {
        let error = genome.targets(lines).err().expect("a refusal").to_string();
        assert!(error.contains(message), "{error}\n{message}");
    }
    let pairs = format!("{HEADER}\n0\tA\ta.bed\t\t\t1\tsum\t1\t\n1\tB\tb.bed\t\t\t1\tsum\t1\t\n");
    let error = CoverageTargets::read(&genome.write("t", pairs)).err().expect("odd pairs").to_string();
    assert!(error.contains("invalid strand_pair `1`"), "{error}");
    let error = CoverageTargets::read(
        &genome.write("t", "index\tidentifier\tclip_soft\tscale\tsum_stat\tstrand_pair\n"),
    );
    assert!(error.is_err());
}

#[test]
fn identity_is_of_the_bytes_and_not_of_the_place() {
    let genome = genome();
    genome.write("a.bed", "chr1\t0\t10\n");
    genome.write("b.bed", "chr1\t0\t10\n");
    let identity = |line: &str| genome.targets(&[line]).expect("targets").identity();
    let first = identity("A\ta.bed\t9\t\t1\tsum");
    assert_eq!(identity("A\tb.bed\t9.0\t\t1\tsum"), first);
    for other in
        ["B\ta.bed\t9\t\t1\tsum", "A\ta.bed\t8\t\t1\tsum", "A\ta.bed\t9\t\t1\tmean", "A\ta.bed\t9\t1\t1\tsum"]
    {
        assert_ne!(identity(other), first, "{other}");
    }
    genome.write("a.bed", "chr1\t0\t11\n");
    assert_ne!(identity("A\ta.bed\t9\t\t1\tsum"), first);
}

#[test]
fn files_that_cannot_be_read_name_what_is_wrong() {
    let mut genome = genome();
    let windows = genome.windows(100, "1\t0\t100\ttrain\n2\t0\t100\tvalid\n").expect("windows");
    let of = |first: Vec<Interval>, second: u32| {
        bigwig(&[("chr1", 500, first), ("chr2", second, vec![interval(0, 5, 1.0)])], &PLAIN)
    };
    genome.write("negative.bw", of(vec![interval(20, 25, -1.5)], 300));
    genome.write("nan.bw", of(vec![interval(20, 25, f32::NAN)], 300));
    genome.write("infinite.bw", of(vec![interval(20, 25, f32::INFINITY)], 300));
    genome.write("large.bw", of(vec![interval(20, 25, f32::MAX)], 300));
    genome.write("length.bw", of(vec![interval(20, 25, 1.0)], 299));
    genome
        .write("contig.bw", bigwig(&[("chr1", 500, vec![interval(0, 5, 1.0)]), ("chrX", 9, vec![])], &PLAIN));
    genome.write("unsorted.bed", "chr1\t20\t30\nchr1\t10\t15\n");
    genome.write("apart.bed", "chr1\t20\t30\nchr2\t10\t15\nchr1\t40\t50\n");
    genome.write("beyond.bed", "chr1\t490\t501\n");
    genome.write("foreign.bed", "chrX\t490\t501\n");
    genome.write("overlap.bdg", "chr1\t20\t30\t1\nchr1\t29\t40\t1\n");
    genome.write("missing.bdg", "chr1\t20\t30\n");
    genome.write("text.bdg", "chr1\t20\t30\tfive\n");
    genome.write("nan.bdg", "chr1\t20\t30\tNaN\n");
    genome.write("negative.bdg", "chr1\t20\t30\t-2\n");
    for (file, message) in [
        ("negative.bw", "has the value -1.5 at chr1:21; expected a finite number of at least 0"),
        ("nan.bw", "has the value NaN at chr1:21"),
        ("infinite.bw", "has the value inf at chr1:21"),
        ("large.bw", "has the value 1.7014117331926443e39 in a bin at chr1:21"),
        ("length.bw", "is of another assembly: contig `chr2` has 299 bases, and 300 in the reference"),
        ("contig.bw", "has no contig `chr2`, where windows lie; it has `chr1`, `chrX`; use"),
        ("unsorted.bed", "line 2: the file is not sorted by start; run `sort -k1,1 -k2,2n X > Y`"),
        ("apart.bed", "line 3: the lines of a contig are not together; run `sort"),
        ("beyond.bed", "is of another assembly: contig `chr1` reaches to base 501 in line 1"),
        ("foreign.bed", "no record is on a contig of the reference"),
        ("overlap.bdg", "line 2: the interval overlaps the one before it; run `bedtools merge"),
        ("missing.bdg", "line 1: value `` is missing"),
        ("text.bdg", "line 1: value `five` is not a number"),
        ("nan.bdg", "has the value NaN at chr1:21"),
        ("negative.bdg", "has the value -2 at chr1:21"),
    ] {
        let targets = genome.targets(&[&format!("A\t{file}\t\t\t1\tsum")]).expect("targets");
        let error = genome.collect(&targets, &windows, BINS, None).err().expect(file).to_string();
        assert!(error.contains(message), "{file}: {error}");
        assert!(!genome.folder.path().join("coverage.values").exists());
        assert!(!genome.folder.path().join("coverage.partial").exists());
    }
}

#[test]
fn compressed_text_and_other_names_of_contigs_are_read() {
    let mut genome = genome();
    let windows = genome.windows(100, "1\t0\t100\ttrain\n").expect("windows");
    genome.write("a.bed.gz", gzip("track name=x\n1\t10\t15\nchr1\t12\t25\tname\t7\nchrUn\t1\t2\n"));
    genome.write("b.bedGraph.gz", gzip("1\t15\t35\t2\n"));
    let targets =
        genome.targets(&["A\ta.bed.gz\t\t\t1\tsum", "B\tb.bedGraph.gz\t\t\t1\tsum"]).expect("targets");
    let values = genome.collect(&targets, &windows, BINS, None).expect("values");
    let zeros = [0.0; 5];
    let expected = [[10.0, 5.0, 0.0].as_slice(), &zeros, &[10.0, 20.0, 10.0], &zeros].concat();
    assert_eq!(values.read(0).expect("a window"), expected);
    assert_eq!(
        (targets.names(), targets.pairs(), targets.count()),
        (vec!["A".into(), "B".into()], vec![0, 1], 2)
    );
}
