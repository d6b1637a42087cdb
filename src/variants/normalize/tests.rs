//! Hand-worked cases, and a brute-force model that knows nothing of trimming or shifting.

use super::*;
use crate::fixture::{Random, random_bases};

/// A reference of the given contigs, in a folder that lives as long as it.
fn reference(contigs: &[&[u8]]) -> (tempfile::TempDir, Reference) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fa");
    let mut text = Vec::new();
    for (number, bases) in contigs.iter().enumerate() {
        text.extend_from_slice(format!(">{number}\n").as_bytes());
        text.extend_from_slice(bases);
        text.push(b'\n');
    }
    std::fs::write(&path, text).unwrap();
    let reference = Reference::open(path).unwrap();
    (folder, reference)
}

fn run(reference: &mut Reference, one_based: u64, old: &str, new: &str) -> Normalized {
    normalize(Allele { contig: 0, one_based, reference: old, alternate: new }, reference).unwrap()
}

/// `position reference alternate status`, 1-based, or the rejection.
fn told(reference: &mut Reference, one_based: u64, old: &str, new: &str) -> String {
    match run(reference, one_based, old, new) {
        Normalized::Rejected(rejection) => rejection.to_string(),
        Normalized::Row { variant, status, .. } => {
            let status = status.map_or("ok", Status::as_str);
            format!("{} {} {} {status}", variant.position.one_based(), variant.reference, variant.alternate)
        }
    }
}

#[test]
fn hand_worked_cases() {
    //                                     1234567890123456789
    let (_folder, mut reference) = reference(&[b"GGGCACACACAGGGAANNMTc"]);
    for (one_based, old, new, expected) in [
        (4, "C", "T", "4 C T ok"),
        (4, "c", "t", "4 C T ok"),
        (21, "C", "A", "21 C A ok"),
        // A CA unit deleted anywhere in the repeat is deleted at its start.
        (8, "CA", "", "empty_allele"),
        (8, "CAC", "C", "3 GCA G ok"),
        (6, "CAC", "C", "3 GCA G ok"),
        (3, "GCA", "G", "3 GCA G ok"),
        (3, "GCACA", "GCA", "3 GCA G ok"),
        (10, "C", "CAC", "3 G GCA ok"),
        (11, "A", "AG", "11 A AG ok"),
        (14, "G", "GG", "11 A AG ok"),
        // At the start of the contig the anchor is the base behind.
        (1, "GG", "G", "1 GG G ok"),
        (2, "GG", "G", "1 GG G ok"),
        (1, "G", "TG", "1 G TG ok"),
        (1, "GGGC", "C", "1 GGGC C ok"),
        // Several bases at once: trimmed, kept whole.
        (3, "GCACA", "GTACG", "4 CACA TACG ok"),
        (4, "CAC", "TAC", "4 C T ok"),
        (4, "CA", "TG", "4 CA TG ok"),
        (3, "GCAC", "GT", "4 CAC T ok"),
        // Unscorable, with the alleles of the input.
        (4, "G", "T", "4 G T ref_mismatch"),
        (4, "ca", "tn", "4 CA TN non_acgt"),
        (17, "N", "A", "17 N A non_acgt"),
        (17, "A", "C", "17 A C non_acgt"),
        (19, "A", "G", "19 A G non_acgt"),
        (19, "G", "A", "19 G A ref_mismatch"),
        (4, "CAN", "C", "4 CAN C non_acgt"),
        (20, "TC", "T", "20 TC T ok"),
        (20, "T", "TT", "19 M MT non_acgt"),
        (4, "C", "<DEL>", "4 C <DEL> symbolic"),
        (4, "c", "<ins:ME>", "4 C <ins:ME> symbolic"),
        (4, "C", "<*>", "4 C <*> symbolic"),
        (4, "C", "*", "4 C * unsupported_allele"),
        (4, "C", "C[17:5[", "4 C C[17:5[ breakend"),
        (4, "C", "]17:5]c", "4 C ]17:5]c breakend"),
        (4, "C", "C.", "4 C C. breakend"),
        (4, "C", ".C", "4 C .C breakend"),
        // No variants of this reference.
        (0, "G", "A", "outside_contig"),
        (22, "G", "A", "outside_contig"),
        (u64::MAX, "G", "A", "outside_contig"),
        (21, "CA", "C", "overruns_contig"),
        (4, "C", ".", "4 C . unsupported_allele"),
        (4, "C", "", "empty_allele"),
        (4, "", "C", "empty_allele"),
        (4, "C", "c", "same_alleles"),
    ] {
        assert_eq!(told(&mut reference, one_based, old, new), expected, "{one_based} {old} {new}");
    }
    let unknown =
        normalize(Allele { contig: 1, one_based: 1, reference: "G", alternate: "A" }, &mut reference);
    assert_eq!(unknown.unwrap(), Normalized::Rejected(Rejection::UnknownContig));
}

#[test]
fn a_long_repeat_is_crossed_and_a_block_edge_with_it() {
    let mut bases = b"G".to_vec();
    bases.extend(b"AT".repeat(150_000));
    let (_folder, mut reference) = reference(&[&bases]);
    let last = bases.len() as u64;
    assert_eq!(told(&mut reference, last - 2, "TAT", "T"), "1 GAT G ok");
    assert_eq!(told(&mut reference, last, "T", "TAT"), "1 G GAT ok");
    assert_eq!(told(&mut reference, last, "T", "TA"), format!("{last} T TA ok"));
}

#[test]
fn only_what_moved_or_was_trimmed_counts_as_changed() {
    let (_folder, mut reference) = reference(&[b"GGGCACACACAGGGAA"]);
    let changed = |normalized| matches!(normalized, Normalized::Row { changed: true, .. });
    assert!(!changed(run(&mut reference, 4, "c", "t")));
    assert!(!changed(run(&mut reference, 3, "GCA", "G")));
    assert!(changed(run(&mut reference, 6, "CAC", "C")));
    assert!(changed(run(&mut reference, 4, "CA", "TA")));
}

/// The contig once the allele is applied.
fn applied(bases: &[u8], position: usize, old: usize, new: &[u8]) -> Vec<u8> {
    [&bases[..position], new, &bases[position + old..]].concat()
}

/// Among all ways to write `haplotype` as one change of `bases`: shortest alleles, then leftmost,
/// with no allele empty.
fn brute_force(bases: &[u8], haplotype: &[u8]) -> (usize, Vec<u8>, Vec<u8>) {
    for old in 1..=bases.len() {
        let Some(new) = (haplotype.len() + old).checked_sub(bases.len()).filter(|new| *new > 0) else {
            continue;
        };
        for position in 0..=bases.len() - old {
            let allele = &haplotype[position.min(haplotype.len())..(position + new).min(haplotype.len())];
            if applied(bases, position, old, allele) == haplotype {
                return (position, bases[position..position + old].to_vec(), allele.to_vec());
            }
        }
    }
    panic!("no way to write it");
}

#[test]
fn the_normal_form_is_the_shortest_leftmost_one_and_every_equivalent_form_finds_it() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        // Few letters make many repeats.
        let letters = 1 + random.below(3);
        let length = 4 + random.below(20) as usize;
        let bases: Vec<u8> = (0..length).map(|_| b"ACGT"[random.below(letters) as usize]).collect();
        let (_folder, mut reference) = reference(&[&bases]);
        for _ in 0..10 {
            let position = random.below(length as u64) as usize;
            let old = 1 + random.below((length - position).min(5) as u64) as usize;
            let inserted = 1 + random.below(5) as usize;
            let new: Vec<u8> =
                random_bases(&mut random, inserted)
                    .iter()
                    .map(|base| {
                        if random.below(4) == 0 { *base } else { bases[random.below(length as u64) as usize] }
                    })
                    .collect();
            if bases[position..position + old] == new || old == length {
                continue;
            }
            let haplotype = applied(&bases, position, old, &new);
            let (wanted_position, wanted_old, wanted_new) = brute_force(&bases, &haplotype);
            // Every wider way of writing the same change.
            for left in 0..=position {
                for right in position + old..=length {
                    let old_text = String::from_utf8(bases[left..right].to_vec()).unwrap();
                    let new_text = [&bases[left..position], &new, &bases[position + old..right]].concat();
                    let new_text = String::from_utf8(new_text).unwrap();
                    let Normalized::Row { variant, status: None, .. } =
                        run(&mut reference, left as u64 + 1, &old_text, &new_text)
                    else {
                        panic!("seed {seed}: {old_text} {new_text} is not a row");
                    };
                    let found = applied(
                        &bases,
                        variant.position.zero_based() as usize,
                        variant.reference.len(),
                        variant.alternate.as_bytes(),
                    );
                    assert_eq!(found, haplotype, "seed {seed}");
                    assert_eq!(
                        (
                            variant.position.zero_based() as usize,
                            variant.reference.as_bytes(),
                            variant.alternate.as_bytes()
                        ),
                        (wanted_position, wanted_old.as_slice(), wanted_new.as_slice()),
                        "seed {seed}: {old_text} {new_text} at {left} of {}",
                        String::from_utf8_lossy(&bases)
                    );
                }
            }
        }
    }
}
