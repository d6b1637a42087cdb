//! Region files.
#![no_main]

use vestore_fuzz::ASSEMBLY;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = vestore_fuzz::file("fuzzed.bed", bytes);
    for region in vestore::read_bed(&path, &ASSEMBLY, &mut vestore::Report::new()).unwrap_or_default() {
        assert!(region.start <= region.end && region.end <= ASSEMBLY.contig(region.contig).length);
    }
});
