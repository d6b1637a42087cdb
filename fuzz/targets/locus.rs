//! Regions and variants as people type them.
#![no_main]

use vestore_fuzz::ASSEMBLY;
use vestore_schema::{Region, Variant};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(region) = Region::parse(text, &ASSEMBLY) {
        assert!(region.start < region.end && region.end <= 100_000);
    }
    if let Some(Ok(variant)) = Variant::parse(text, &ASSEMBLY) {
        assert!(variant.position.zero_based() < 100_000 && !variant.reference.is_empty());
    }
});
