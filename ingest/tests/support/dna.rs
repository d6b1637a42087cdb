//! DNA with something to learn in it.

/// A FASTA of one contig `a`: a motif of 24 bases, each changed one time in ten, between stretches of random
/// bases.
pub(crate) fn motifs(length: usize) -> String {
    let mut state = 7u64;
    let mut below = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
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
