//! Lets the engine's programs and tests find libtorch where they were linked against it.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    // Absent only where libtorch comes from the system's own library path.
    if let Ok(libtorch) = std::env::var("LIBTORCH")
        && let Ok(lib) = Path::new(&libtorch).join("lib").canonicalize()
    {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
