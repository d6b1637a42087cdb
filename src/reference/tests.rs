//! Opening, fetching, stale and unwritable indexes, and the real genomes where they are present.

use std::io::Write;
use std::time::{Duration, SystemTime};

use super::beside::{beside, is_older};
use super::*;
use crate::fixture::{Random, bgzf, data_file, gzip, random_bases};

fn fasta(contigs: &[(&str, &[u8])], width: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, bases) in contigs {
        writeln!(text, ">{name} described").unwrap();
        for line in bases.chunks(width) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
    text
}

fn region(contig: u32, start: u32, end: u32) -> Region {
    Region { contig, start, end }
}

fn age(path: &Path, seconds: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[test]
fn fetch_equals_slicing_whatever_the_layout() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    let mut long = random_bases(&mut random, 700_001);
    long[300_000..300_010].copy_from_slice(b"NNRYKMNNac");
    let short = random_bases(&mut random, 5);
    for (name, width, compress) in
        [("a.fa", 60, false), ("b.fa", 700_001, false), ("c.fa.gz", 61, true), ("d.fa.gz", 1 << 20, true)]
    {
        let text = fasta(&[("short", &short), ("long", &long), ("last", &short)], width);
        let path = folder.path().join(name);
        std::fs::write(&path, if compress { bgzf(&text) } else { text }).unwrap();
        // First with indexes built, then with indexes read.
        for _ in 0..2 {
            let mut reference = Reference::open(&path).unwrap();
            assert!(!reference.has_unsaved_indexes());
            for _ in 0..200 {
                let start = random.below(long.len() as u64) as usize;
                let end = (start + random.below(3000) as usize).min(long.len());
                let bases = reference.fetch(region(1, start as u32, end as u32)).unwrap();
                assert_eq!(bases, long[start..end].to_ascii_uppercase());
            }
            assert_eq!(reference.fetch(region(1, 0, 700_001)).unwrap(), long.to_ascii_uppercase());
            assert_eq!(reference.fetch(region(2, 0, 5)).unwrap(), short);
            assert_eq!(reference.fetch(region(2, 5, 5)).unwrap(), b"");
            assert!(reference.cache.len() <= BLOCKS);
            assert!(matches!(reference.fetch(region(2, 4, 6)), Err(ReferenceError::OutsideContig { .. })));
            assert!(matches!(reference.fetch(region(3, 0, 1)), Err(ReferenceError::NoSuchContig { .. })));
            let assembly = reference.survey().unwrap();
            assert_eq!(reference.digest(1).unwrap(), assembly.contigs[1].digest);
            assert_eq!(assembly.contigs[0].digest, assembly.contigs[2].digest);
            reference.check(&assembly).unwrap();
        }
        assert!(beside(&path, ".fai").exists() && beside(&path, ".gzi").exists() == compress);
    }
}

#[test]
fn a_handle_serves_another_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fa.gz");
    std::fs::write(&path, bgzf(b">a\nACGT\n")).unwrap();
    let reference = Reference::open(&path).unwrap();
    let mut other = reference.reopen().unwrap();
    let bases = std::thread::spawn(move || other.fetch(region(0, 1, 3)).unwrap()).join().unwrap();
    assert_eq!(bases, b"CG");
}

#[test]
fn stale_indexes_are_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    for (name, compress) in [("a.fa", false), ("b.fa.gz", true)] {
        let path = folder.path().join(name);
        let store = |text: &[u8]| {
            std::fs::write(&path, if compress { bgzf(text) } else { text.to_vec() }).unwrap();
        };
        store(b">a\nACGT\n>b\nGG\n");
        Reference::open(&path).unwrap();
        // Other content, indexes that look newer.
        store(b">a\nACGTA\n>b\nGG\n");
        age(&path, 60);
        assert_eq!(Reference::open(&path).unwrap().contigs().next(), Some(("a", 5)));
        // An index that fits the sizes but is older than the FASTA.
        store(b">a\nGCGTA\n>b\nGG\n");
        age(&beside(&path, ".fai"), 60);
        let mut reference = Reference::open(&path).unwrap();
        assert_eq!(reference.fetch(region(0, 0, 2)).unwrap(), b"GC");
        assert!(!is_older(&beside(&path, ".fai"), &path));
        std::fs::write(beside(&path, ".fai"), "nonsense").unwrap();
        assert_eq!(Reference::open(&path).unwrap().contigs().len(), 2);
    }
}

#[cfg(unix)]
#[test]
fn indexes_stay_in_memory_where_the_folder_is_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let permit =
        |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    let path = folder.path().join("x.fa.gz");
    std::fs::write(&path, bgzf(b">a\nACGT\n")).unwrap();
    permit(0o555);
    let mut reference = Reference::open(&path).unwrap();
    assert!(reference.has_unsaved_indexes());
    assert_eq!(reference.fetch(region(0, 1, 3)).unwrap(), b"CG");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    permit(0o755);
    assert!(!Reference::open(&path).unwrap().has_unsaved_indexes());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn what_cannot_be_sought_or_is_cut_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa.gz");
    std::fs::write(&path, gzip(b">a\nACGT\n")).unwrap();
    let message = Reference::open(&path).err().unwrap().to_string();
    assert!(message.contains("gunzip -c") && message.contains("x.bgzf.fa.gz"), "{message}");
    let whole = bgzf(&fasta(&[("a", &vec![b'A'; 200_000])], 60));
    std::fs::write(&path, &whole[..whole.len() - 28]).unwrap();
    assert!(matches!(Reference::open(&path), Err(ReferenceError::Truncated { .. })));
    assert!(matches!(Reference::open(folder.path()), Err(ReferenceError::NoFile { .. })));
    assert!(matches!(Reference::open(folder.path().join("none")), Err(ReferenceError::Open { .. })));
}

#[test]
fn a_fasta_that_changes_while_open_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa");
    std::fs::write(&path, b">a\nACGT\nACGT\n").unwrap();
    let mut reference = Reference::open(&path).unwrap();
    std::fs::write(&path, b">abc\nACGT\nACG\n").unwrap();
    assert!(matches!(reference.fetch(region(0, 0, 8)), Err(ReferenceError::Changed { .. })));
}

#[test]
fn another_assembly_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa");
    std::fs::write(&path, b">a\nACGT\n>b\nAC\n").unwrap();
    let mut reference = Reference::open(&path).unwrap();
    let mut assembly = reference.survey().unwrap();
    assembly.contigs[1].length = 3;
    let message = reference.check(&assembly).unwrap_err().to_string();
    assert!(message.contains("contig `b` of 2 bases where the store has contig `b` of 3 bases"), "{message}");
    assembly.contigs.pop();
    let message = reference.check(&assembly).unwrap_err().to_string();
    assert!(message.contains("has contig `b` of 2 bases where the store has no more contigs"), "{message}");
}

#[test]
fn a_block_table_that_lies_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa.gz");
    let bases = random_bases(&mut Random::new(9), 400_000);
    std::fs::write(&path, bgzf(&fasta(&[("a", &bases), ("b", &bases)], 60))).unwrap();
    let mut reference = Reference::open(&path).unwrap();
    let assembly = reference.survey().unwrap();
    let table = beside(&path, ".gzi");
    let right = std::fs::read(&table).unwrap();
    let words = right.len() / 8;
    // Offsets of the data (each second word from the third on) that keep rising: of one block, of all, of the last.
    let shift = |from: usize, to: usize, by: u64| {
        let mut bytes = right.clone();
        for word in (from..to).step_by(2) {
            let at = word * 8..word * 8 + 8;
            let value = u64::from_le_bytes(bytes[at.clone()].try_into().unwrap());
            bytes[at].copy_from_slice(&(value + by).to_le_bytes());
        }
        bytes
    };
    for lie in [
        shift(4, 5, 7),
        shift(2, words, 61),
        shift(words - 1, words, 1),
        shift(2, words, u64::MAX - 2_000_000),
    ] {
        assert_ne!(lie, right);
        std::fs::write(&table, &lie).unwrap();
        let mut other = Reference::open_checked(&path, &assembly).unwrap();
        let mut third = other.reopen().unwrap();
        for contig in [1, 0] {
            let found = other.fetch(region(contig, 100, 399_000)).unwrap();
            assert!(found == bases[100..399_000]);
            assert!(third.fetch(region(contig, 100, 399_000)).unwrap() == found);
        }
        // And what is not checked against an assembly.
        std::fs::write(&table, &lie).unwrap();
        let mut surveyed = Reference::open(&path).unwrap();
        assert_eq!(surveyed.survey().unwrap(), assembly);
        assert!(surveyed.fetch(region(1, 0, 400_000)).unwrap() == bases);
        assert_eq!(std::fs::read(&table).unwrap(), right);
    }
}

#[test]
fn checked_bases_are_those_of_the_assembly_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (name, compress) in [("x.fa", false), ("x.fa.gz", true)] {
        let path = folder.path().join(name);
        let bases = random_bases(&mut Random::new(4), 300_000);
        let store = |bases: &[u8]| {
            let text = fasta(&[("a", b"ACGT"), ("b", bases)], 60);
            std::fs::write(&path, if compress { bgzf(&text) } else { text }).unwrap();
        };
        store(&bases);
        let assembly = Reference::open(&path).unwrap().survey().unwrap();
        let mut other = bases.clone();
        other[299_999] = if other[299_999] == b'A' { b'C' } else { b'A' };
        store(&other);
        let mut reference = Reference::open_checked(&path, &assembly).unwrap();
        assert_eq!(reference.fetch(region(0, 0, 4)).unwrap(), b"ACGT");
        let mut handle = reference.reopen().unwrap();
        for reader in [&mut reference, &mut handle] {
            // No base of it, however far from the one that differs.
            let error = reader.fetch(region(1, 5, 6)).unwrap_err();
            assert!(matches!(&error, ReferenceError::OtherBases { contig, .. } if contig == "b"), "{error}");
            assert_eq!(reader.fetch(region(1, 5, 5)).unwrap(), b"");
        }
        assert!(reference.check_whole(&assembly).is_err());
        store(&bases.to_ascii_lowercase());
        let mut reference = Reference::open_checked(&path, &assembly).unwrap();
        assert_eq!(reference.fetch(region(1, 5, 9)).unwrap(), bases[5..9]);
        // A handle on another file, and a file rewritten under an open handle.
        store(&[&bases[..], b"A"].concat());
        assert!(matches!(reference.reopen(), Err(ReferenceError::Changed { .. })));
    }
}

#[test]
fn digests_are_kept_under_the_stamps_of_the_files_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa");
    std::fs::write(&path, b">a\nACGT\n>b\nGG\n").unwrap();
    let stamps = Reference::open(&path).unwrap().stamps;
    let cache = super::cache::DigestCache::of(&path).unwrap();
    let digests: std::collections::BTreeMap<String, String> = [("a".to_owned(), "SQ.x".to_owned())].into();
    // The times of files move in steps, so what has just changed is not kept.
    while !stamps.are_settled() {
        cache.write(&stamps, digests.clone()).unwrap();
        assert!(stamps.are_settled() || cache.read(&stamps).is_empty());
        std::thread::yield_now();
    }
    cache.write(&stamps, digests.clone()).unwrap();
    assert_eq!(cache.read(&stamps), digests);
    age(&path, 5);
    let aged = Reference::open(&path).unwrap().stamps;
    assert!(aged != stamps && cache.read(&aged).is_empty());
    // A digest of another run that is wrong is found out: the cache saves work and proves nothing.
    let assembly = Reference::open(&path).unwrap().survey().unwrap();
    let mut reference = Reference::open_checked(&path, &assembly).unwrap();
    assert_eq!(reference.fetch(region(0, 0, 4)).unwrap(), b"ACGT");
}

#[test]
fn md5_is_that_of_sam_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa");
    std::fs::write(&path, b">a\nacg\ntAC\n").unwrap();
    // `printf ACGTAC | md5sum`
    assert_eq!(Reference::open(&path).unwrap().md5(0).unwrap(), "1617b7d879d437fa4c87da5875264b14");
}

#[test]
fn real_genomes_open_with_the_indexes_they_came_with() {
    let Some(path) = data_file("genome/GRCh38.mini.fa.gz") else { return };
    let mut reference = Reference::open(&path).unwrap();
    let contigs: Vec<(String, u32)> =
        reference.contigs().map(|(name, length)| (name.to_owned(), length)).collect();
    let assembly = reference.survey().unwrap();
    assert_eq!(contigs.len(), assembly.contigs.len());
    for (index, contig) in assembly.contigs.iter().enumerate() {
        assert_eq!(contigs[index], (contig.name.clone(), contig.length));
        assert_eq!(reference.digest(index as u32).unwrap(), contig.digest);
    }
    let Some(path) = data_file("genome/MT-human.fa.gz") else { return };
    match Reference::open(&path) {
        Ok(reference) => assert_eq!(reference.contigs().next().map(|(_, length)| length), Some(16_569)),
        Err(error) => assert!(matches!(error, ReferenceError::PlainGzip { .. }), "{error}"),
    }
}
