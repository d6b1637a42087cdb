//! Files in every form give the same plan; the real files give the counts that are known of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::fixture::{Random, bgzf, data_file, gzip, random_bases};
use crate::output::OutputRules;

struct Made {
    plan: Plan,
    report: Report,
    assembly: Assembly,
}

impl Made {
    /// `contig-position-reference-alternate`, and the status if it has one.
    fn told(&self) -> Vec<String> {
        let row = |row: Result<Planned, PlanError>| {
            let Planned { variant, status } = row.unwrap();
            let status = status.map(|status| format!(" {status}")).unwrap_or_default();
            format!("{}{status}", variant.display(&self.assembly))
        };
        self.plan.rows().unwrap().map(row).collect()
    }

    fn snvs(&self) -> usize {
        let scorable_snv = |row: &Planned| row.status.is_none() && row.variant.is_snv();
        self.plan.rows().unwrap().map(Result::unwrap).filter(scorable_snv).count()
    }
}

fn make(path: &Path, reference: &mut Reference, options: &PlanOptions) -> Result<Made, PlanError> {
    let assembly = reference.survey().unwrap();
    let mut report = Report::new();
    let plan = Plan::read(VariantSource::open(path)?, reference, &assembly, options, &mut report)?;
    Ok(Made { plan, report, assembly })
}

/// A folder with a reference of two contigs, and its bases.
fn genome() -> (tempfile::TempDir, Reference, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let bases = random_bases(&mut Random::new(1), 5000);
    let fasta = [b">chr1\n".as_slice(), &bases, b"\n>chr2\n", &bases, b"\n"].concat();
    let path = folder.path().join("x.fa");
    std::fs::write(&path, fasta).unwrap();
    let reference = Reference::open(path).unwrap();
    (folder, reference, bases)
}

/// A VCF of random variants that agree with the reference, unsorted, with duplicates.
fn vcf(bases: &[u8]) -> Vec<String> {
    let mut random = Random::new(2);
    (0..2000)
        .map(|_| {
            let contig = ["1", "chr2", "9"][random.below(3) as usize];
            let position = random.below(4900) as usize;
            let length = 1 + random.below(4) as usize;
            let reference = String::from_utf8_lossy(&bases[position..position + length]);
            let inserted = 1 + random.below(3) as usize;
            let new = random_bases(&mut random, inserted);
            let alternate = String::from_utf8_lossy(&new);
            let more = [",<DEL>", ",*", "", "", ""][random.below(5) as usize];
            format!("{contig}\t{}\t.\t{reference}\t{alternate}{more}\t.\t.\t.", position + 1)
        })
        .collect()
}

#[test]
fn the_same_records_in_any_form_and_order_are_the_same_plan() {
    let (folder, mut reference, bases) = genome();
    let mut lines = vcf(&bases);
    let header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
    let text = |lines: &[String]| format!("{header}{}\n", lines.join("\n")).into_bytes();
    let unsorted = text(&lines);
    lines.sort_by_key(|line| line.split('\t').nth(1).unwrap().parse::<u32>().unwrap());
    let sorted = text(&lines);
    let headerless = sorted[header.len()..].to_vec();
    let crlf = String::from_utf8(sorted.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    let mut first: Option<Made> = None;
    let forms = [sorted.clone(), unsorted, headerless, crlf, gzip(&sorted), bgzf(&sorted)];
    for (number, bytes) in forms.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, bytes).unwrap();
        for memory in [64 << 20, 16 << 10] {
            let options =
                PlanOptions { memory, spill_folder: folder.path().into(), ..PlanOptions::default() };
            let made = make(&path, &mut reference, &options).unwrap();
            assert_eq!(made.report.records, 2000);
            assert!(made.report.duplicates > 0 && made.report.normalized > 100 && made.report.split > 100);
            let rows = made.told();
            assert_eq!(rows.len() as u64, made.plan.len());
            assert_eq!(made.plan.rows_from(700).unwrap().count(), rows.len() - 700);
            if let Some(first) = &first {
                assert_eq!(rows, first.told(), "form {number}");
                assert_eq!(made.plan.digest(), first.plan.digest());
                assert_eq!(made.report.summary(), first.report.summary());
            } else {
                first = Some(made);
            }
        }
    }
}

#[test]
fn every_allele_is_a_row_a_duplicate_or_a_rejection() {
    let (folder, mut reference, bases) = genome();
    let path = folder.path().join("x.vcf");
    let base = |position: usize| char::from(bases[position - 1]);
    let other = |position: usize| if base(position) == 'A' { 'C' } else { 'A' };
    let mut lines: Vec<String> = [(7, "<DEL>"), (8, "*"), (9, "."), (10, "N"), (11, "G[chr2:5[")]
        .iter()
        .map(|(position, alternate)| format!("1\t{position}\t.\t{}\t{alternate}", base(*position)))
        .collect();
    lines.push(format!("1\t5\t.\t{}\t{}", other(5), base(5)));
    lines.push(format!("chr1\t6\t.\t{}\t{}", base(6), other(6)));
    lines.push(format!("1\t6\t.\t{}\t{}", base(6).to_ascii_lowercase(), other(6)));
    lines.push("1\t0\t.\tA\tC".to_owned());
    lines.push("1\t9000\t.\tA\tC".to_owned());
    lines.push("nine\t1\t.\tA\tC".to_owned());
    std::fs::write(&path, lines.join("\n")).unwrap();
    let listing = folder.path().join("report.tsv");
    let assembly = reference.survey().unwrap();
    let mut report = Report::with_listing(&listing, &OutputRules::default()).unwrap();
    let options = PlanOptions::default();
    let plan =
        Plan::read(VariantSource::open(&path).unwrap(), &mut reference, &assembly, &options, &mut report)
            .unwrap();
    report.finish().unwrap();
    assert_eq!((plan.len(), report.duplicates, report.records), (7, 1, 11));
    assert_eq!(report.rejected(crate::Rejection::UnknownContig), 1);
    assert_eq!(report.rejected(crate::Rejection::OutsideContig), 2);
    assert_eq!(report.status(Status::UnsupportedAllele), 2);
    for status in [Status::Symbolic, Status::NonAcgt, Status::Breakend, Status::RefMismatch] {
        assert_eq!(report.status(status), 1, "{status}");
    }
    assert_eq!(std::fs::read_to_string(&listing).unwrap().lines().count(), 1 + 4 + 5);
    let options = PlanOptions { ref_mismatch: RefMismatch::Fail, ..options };
    let error = make(&path, &mut reference, &options).err().unwrap().to_string();
    assert!(error.contains("line 6: 1:5 has REF `"), "{error}");
}

#[test]
fn another_reference_and_unknown_contigs_are_refused() {
    let (folder, mut reference, _) = genome();
    let path = folder.path().join("x.vcf");
    std::fs::write(&path, "z\t1\t.\tA\tC\n").unwrap();
    let error = make(&path, &mut reference, &PlanOptions::default()).err().unwrap().to_string();
    assert!(error.contains("the file has `z`, the reference has `chr1`, `chr2`"), "{error}");
    std::fs::write(&path, "##fileformat=VCFv4.2\n").unwrap();
    assert!(make(&path, &mut reference, &PlanOptions::default()).unwrap().plan.is_empty());
    let (options, mut report) = (PlanOptions::default(), Report::new());
    let plan = Plan::read(
        VariantSource::open(&path).unwrap(),
        &mut reference,
        &Assembly::default(),
        &options,
        &mut report,
    );
    assert!(matches!(plan, Err(PlanError::Reference(ReferenceError::OtherAssembly { .. }))));
}

#[test]
fn plans_can_be_sent_to_threads() {
    fn sendable<T: Send + 'static>() {}
    sendable::<Plan>();
    sendable::<PlannedRows>();
    sendable::<Reference>();
}

#[test]
fn saturation_is_the_plan_of_a_file_with_every_snv() {
    let (folder, mut reference, bases) = genome();
    let path = folder.path().join("x.vcf");
    let line = |at: usize| format!("1\t{}\t.\t{}\tT,G,C,A", at + 1, char::from(bases[at]));
    std::fs::write(&path, (100..300).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let made = make(&path, &mut reference, &PlanOptions::default()).unwrap();
    assert_eq!(made.report.rejected(crate::Rejection::SameAlleles), 200);
    let regions =
        vec![Region { contig: 0, start: 150, end: 300 }, Region { contig: 0, start: 100, end: 160 }];
    let plan = Plan::saturation(regions, &reference, &mut Report::new()).unwrap();
    let saturation = Made { plan, report: Report::new(), assembly: made.assembly.clone() };
    assert_eq!((saturation.plan.len(), saturation.told()), (600, made.told()));
    let rest = saturation.plan.rows_from(590).unwrap().map(Result::unwrap);
    assert!(rest.eq(made.plan.rows_from(590).unwrap().map(Result::unwrap)));
}

/// The records of a real file that lie on its small genome, as text.
fn records(file: &str, keep: impl Fn(&[&str]) -> bool) -> Option<(tempfile::TempDir, PathBuf)> {
    let file = data_file(file)?;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let kept = |line: &&str| line.starts_with('#') || keep(&line.splitn(6, '\t').collect::<Vec<_>>());
    let lines: Vec<&str> = text.lines().filter(kept).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.vcf");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    Some((folder, path))
}

fn clinvar() -> Option<(tempfile::TempDir, PathBuf)> {
    records("vcf/clinvar_20260226.GRCh38.panel.vcf.gz", |columns| {
        let position: u32 = columns[1].parse().unwrap();
        columns[0] == "17" && (42_425_001..=43_600_000).contains(&position)
    })
}

#[test]
fn clinvar_agrees_with_its_genome() {
    let Some((_folder, path)) = clinvar() else { return };
    let mut reference = Reference::open(data_file("genome/GRCh38.mini.fa.gz").unwrap()).unwrap();
    let made = make(&path, &mut reference, &PlanOptions::default()).unwrap();
    assert_eq!(made.report.records, 14_998);
    assert_eq!(made.report.status(Status::RefMismatch), 0);
    // The file has 11,388 of single letters; three of them have no alternate allele.
    assert_eq!(made.snvs() as u64 + made.report.status(Status::UnsupportedAllele), 11_388);
    assert_eq!(made.report.status(Status::UnsupportedAllele), 3);
}

fn has_bcftools() -> bool {
    let found = Command::new("bcftools").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: bcftools is not installed");
    }
    found
}

#[test]
fn bcf_written_by_bcftools_is_the_same_plan() {
    let Some(vcf) = data_file("vcf/1000G_phase3.b37.chr20_1-2Mb.sites.remapped.vcf.gz") else { return };
    if !has_bcftools() {
        return;
    }
    let mut reference = Reference::open(data_file("genome/GRCh37.mini.fa.gz").unwrap()).unwrap();
    let wanted = make(&vcf, &mut reference, &PlanOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for form in ["b", "u"] {
        let bcf = folder.path().join(form);
        let output =
            Command::new("bcftools").args(["view", "-O", form, "-o"]).args([&bcf, &vcf]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made = make(&bcf, &mut reference, &PlanOptions::default()).unwrap();
        assert_eq!(made.plan.digest(), wanted.plan.digest());
        assert_eq!(made.report.summary(), wanted.report.summary());
    }
}

#[test]
fn normal_forms_are_those_of_bcftools() {
    if !has_bcftools() {
        return;
    }
    let thousand_genomes = "vcf/1000G_phase3.b37.chr20_1-2Mb.sites.remapped.vcf.gz";
    for (found, genome) in [
        (clinvar(), "genome/GRCh38.mini.fa.gz"),
        (records(thousand_genomes, |_| true), "genome/GRCh37.mini.fa.gz"),
    ] {
        let (Some((_folder, path)), Some(genome)) = (found, data_file(genome)) else { return };
        let mut reference = Reference::open(&genome).unwrap();
        let contigs: Vec<String> = reference.contigs().map(|(name, _)| name.to_owned()).collect();
        // bcftools wants the contig as the FASTA names it.
        let text = std::fs::read_to_string(&path).unwrap();
        let named: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with("##contig"))
            .map(|line| match line.split_once('\t') {
                Some((contig, rest))
                    if !line.starts_with('#') && !contigs.iter().any(|name| name == contig) =>
                {
                    format!("chr{contig}\t{rest}")
                }
                _ => line.to_owned(),
            })
            .collect();
        let declare = |(name, length)| format!("##contig=<ID={name},length={length}>");
        let declared: Vec<String> = reference.contigs().map(declare).collect();
        let (format, rest) = named.split_first().unwrap();
        let text = [format.as_str(), &declared.join("\n"), &rest.join("\n"), ""].join("\n");
        std::fs::write(&path, text).unwrap();
        let output = Command::new("bcftools")
            .args(["norm", "--multiallelics", "-any", "--fasta-ref"])
            .args([&genome, &path])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut theirs: BTreeMap<String, u32> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.splitn(6, '\t').collect();
            if !columns[4].starts_with('<') && columns[4] != "." {
                let key = format!("{}-{}-{}-{}", columns[0], columns[1], columns[3], columns[4]);
                *theirs.entry(key).or_default() += 1;
            }
        }
        let made = make(&path, &mut reference, &PlanOptions::default()).unwrap();
        let ours: Vec<String> = made
            .told()
            .into_iter()
            .filter(|row| !row.contains('<') && !row.split(' ').next().is_some_and(|key| key.ends_with("-.")))
            .map(|row| row.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        let ours: std::collections::BTreeSet<String> = ours.into_iter().collect();
        let theirs: std::collections::BTreeSet<String> = theirs.into_keys().collect();
        let only_ours: Vec<_> = ours.difference(&theirs).take(5).collect();
        let only_theirs: Vec<_> = theirs.difference(&ours).take(5).collect();
        assert!(ours == theirs, "{} and {}: {only_ours:?} {only_theirs:?}", ours.len(), theirs.len());
        assert!(ours.len() > 10_000);
    }
}

#[test]
fn thousand_genomes_has_the_counts_known_of_it() {
    let Some(path) = data_file("vcf/1000G_phase3.b37.chr20_1-2Mb.sites.remapped.vcf.gz") else { return };
    let mut reference = Reference::open(data_file("genome/GRCh37.mini.fa.gz").unwrap()).unwrap();
    let made = make(&path, &mut reference, &PlanOptions::default()).unwrap();
    assert_eq!(made.report.records, 28_998);
    assert_eq!(made.report.split, 138);
    assert_eq!(made.report.status(Status::Symbolic), 24);
    assert_eq!(made.report.status(Status::RefMismatch), 0);
    // As written there are 28,191; twelve more are SNVs once they are trimmed (`TG` to `GG`).
    let mut source = VariantSource::open(&path).unwrap();
    let (mut record, mut snvs) = (Record::default(), 0);
    while source.read(&mut record).unwrap() {
        let single = |allele: &str| record.reference.len() == 1 && allele.len() == 1;
        snvs += record.alternates().filter(|allele| single(allele)).count();
    }
    assert_eq!((snvs, made.snvs()), (28_191, 28_191 + 12));
}

#[test]
fn messy_files_are_read_or_refused_for_the_right_reason() {
    let Some(path) = data_file("vcf/messy/1000G_phase3.chr20_1-2Mb.contig-z.vcf.gz") else { return };
    let mut reference = Reference::open(data_file("genome/GRCh37.mini.fa.gz").unwrap()).unwrap();
    let options = PlanOptions::default();
    let error = make(&path, &mut reference, &options).err().unwrap();
    assert!(matches!(error, PlanError::NoKnownContig { .. }), "{error}");
    let path = data_file("vcf/messy/ExAC.r1.b37.chr22_ADA2-GAB4.sites.vep.vcf.gz").unwrap();
    let made = make(&path, &mut reference, &options).unwrap();
    assert_eq!((made.report.records, made.report.status(Status::RefMismatch)), (854, 0));
    let path = data_file("vcf/1000G_phase3.b37.chr22_ADA2-GAB4.sites.vcf.gz").unwrap();
    let made = make(&path, &mut reference, &options).unwrap();
    assert_eq!((made.report.records, made.report.status(Status::RefMismatch)), (2185, 0));
    let path = data_file("labelled/LOGO_1000G_GWAS_704pos_704neg.vcf").unwrap();
    let made = make(&path, &mut reference, &options).unwrap();
    assert_eq!(made.report.records, 1408);
}
