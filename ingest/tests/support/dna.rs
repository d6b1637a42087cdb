//! DNA with something to learn in it.

use vestore_ingest::Random;

/// A FASTA of one contig `a`: a motif of 24 bases, each changed one time in ten, between stretches of random
/// bases.
pub(crate) fn motifs(length: usize) -> String {
    let mut random = Random::new(7);
    let mut below = move |bound: u64| random.below(bound);
    let motif = b"GATTACAGATTACACCATGGTTGA";
    let mut bases = String::from(">a\n");
    while bases.len() < length + 3 {
        for base in motif {
            let changed = below(10) == 0;
            bases.push(char::from(if changed { b"ACGT"[below(4) as usize] } else { *base }));
        }
        (0..below(12)).for_each(|_| bases.push(char::from(b"ACGT"[below(4) as usize])));
    }
    bases.truncate(length + 3);
    bases.push('\n');
    bases
}
