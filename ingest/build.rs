//! Where the engine's programs look for libtorch. The one that people run looks beside itself, whoever runs it, and
//! `vestore` names it other places. Tests, benches and examples, which never leave the machine, look where they were
//! linked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/lib");
    // Absent only where libtorch comes from the system's own library path.
    if let Ok(libtorch) = std::env::var("LIBTORCH")
        && let Ok(lib) = Path::new(&libtorch).join("lib").canonicalize()
    {
        for kind in ["tests", "benches", "examples"] {
            println!("cargo:rustc-link-arg-{kind}=-Wl,-rpath,{}", lib.display());
        }
        // Unit tests take no arguments of their own; but cargo lets them search what is below its target folder.
        let link = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("libtorch");
        let _ = fs::remove_file(&link);
        match symlink(&lib, &link) {
            Ok(()) => println!("cargo:rustc-link-search=native={}", link.display()),
            Err(error) => println!("cargo:warning=unit tests will not find libtorch: {error}"),
        }
    }
}
