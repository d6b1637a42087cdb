//! The engine finds libtorch wherever it is installed, and trusts no place that somebody else could have filled.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::programs::{vestore, workspace};

/// The libraries that this workspace was built against.
pub(crate) fn libraries() -> PathBuf {
    let built = std::env::var_os("LIBTORCH").map_or_else(|| workspace().join(".libtorch"), PathBuf::from);
    built.join("lib").canonicalize().unwrap()
}

/// Both programs in a folder of their own, as they are handed to somebody else.
pub(crate) fn installed(folder: &Path) -> PathBuf {
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    let vestore = vestore();
    for name in ["vestore", "vestore-ingest"] {
        fs::copy(vestore.with_file_name(name), programs.join(name)).unwrap();
    }
    programs.join("vestore")
}

/// Starts the engine for its help, as a user whose home is `home`.
fn help(program: &Path, home: &Path, variables: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(program);
    command.args(["score", "--help"]).env_clear().env("HOME", home).env("PATH", home.join("bin"));
    command.envs(variables.iter().copied()).output().unwrap()
}

fn works(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("--variants"), "{told}");
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_libraries_lie_with_the_programs_or_in_the_cache_or_in_a_wheel() {
    let folder = tempfile::tempdir().unwrap();
    let program = installed(folder.path());
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let missing = told(&help(&program, &home, &[]));
    let places = [
        format!("{} (beside the programs)", folder.path().join("bin/lib").display()),
        format!("{} (`make install`)", folder.path().join("lib/vestore").display()),
        format!(
            "{} (the cache of `make setup`)",
            home.join(".cache/vestore/libtorch-2.11.0-cpu/lib").display()
        ),
        "`pip install torch==2.11.0`".to_owned(),
    ];
    for place in places {
        assert!(missing.contains(&place), "{missing}");
    }
    assert!(!missing.contains("loading shared libraries"), "{missing}");

    let beside = folder.path().join("bin/lib");
    symlink(libraries(), &beside).unwrap();
    works(&help(&program, &home, &[]));
    // Without help from `vestore` too.
    works(&help(&program.with_file_name("vestore-ingest"), &home, &[]));
    fs::remove_file(&beside).unwrap();

    let cache = home.join(".cache/vestore/libtorch-2.11.0-cpu");
    fs::create_dir_all(&cache).unwrap();
    symlink(libraries(), cache.join("lib")).unwrap();
    works(&help(&program, &home, &[]));
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = told(&help(&program, &home, &[]));
    assert!(refused.contains("passed over") && refused.contains("can be written by others"), "{refused}");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    let elsewhere = home.join("elsewhere");
    fs::rename(home.join(".cache/vestore"), &elsewhere).unwrap();
    told(&help(&program, &home, &[]));
    works(&help(&program, &home, &[("VESTORE_CACHE", &elsewhere)]));

    let environment = home.join("environment");
    let packages = environment.join("lib/python3.12/site-packages");
    fs::create_dir_all(packages.join("torch")).unwrap();
    symlink(libraries(), packages.join("torch/lib")).unwrap();
    let release = |name: &str| fs::create_dir(packages.join(name)).unwrap();
    release("torch-2.10.0.dist-info");
    told(&help(&program, &home, &[("VIRTUAL_ENV", &environment)]));
    release("torch-2.11.0+cpu.dist-info");
    works(&help(&program, &home, &[("VIRTUAL_ENV", &environment)]));

    // Beside the programs lies the environment that pip installed them into.
    fs::rename(environment.join("lib"), folder.path().join("lib")).unwrap();
    told(&help(&program, &home, &[]));
    let own = folder.path().join("lib/python3.12/site-packages/vestore-0.1.0.dist-info");
    fs::create_dir(own).unwrap();
    works(&help(&program, &home, &[]));
    fs::remove_dir_all(folder.path().join("lib")).unwrap();

    fs::create_dir(folder.path().join("lib")).unwrap();
    let prefix = folder.path().join("lib/vestore");
    symlink(libraries(), &prefix).unwrap();
    works(&help(&program, &home, &[]));
    fs::rename(prefix, folder.path().join("lib/elsewhere")).unwrap();
    told(&help(&program, &home, &[]));
}

/// Runs the set-up with a cache of its own, from a copy of the script.
fn set_up(folder: &Path, cache: &Path) -> String {
    let scripts = folder.join("checkout/scripts");
    fs::create_dir_all(&scripts).unwrap();
    fs::copy(workspace().join("scripts/libtorch.py"), scripts.join("libtorch.py")).unwrap();
    let mut command = Command::new("python3");
    command.arg(scripts.join("libtorch.py")).env("VESTORE_CACHE", cache).env_remove("LIBTORCH");
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!folder.join("checkout/.libtorch").exists());
    told
}

#[test]
fn a_set_up_trusts_nothing_that_is_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let planted = cache.join("libtorch-2.11.0-cpu");
    fs::create_dir_all(planted.join("lib")).unwrap();
    fs::write(planted.join("lib/libtorch_cpu.so"), "somebody else's").unwrap();
    let told = set_up(folder.path(), &cache);
    assert!(
        told.contains("is not libtorch 2.11.0 as the wheels hold it") && told.contains("remove it"),
        "{told}"
    );
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
    let told = set_up(folder.path(), &cache);
    assert!(told.contains("can be written by others (mode 777)"), "{told}");
    fs::remove_dir_all(&planted).unwrap();
    // A lock that points to a file of the user's is not opened, let alone emptied.
    let victim = folder.path().join("victim");
    fs::write(&victim, "dear").unwrap();
    symlink(&victim, cache.join("lock")).unwrap();
    let told = set_up(folder.path(), &cache);
    assert!(told.contains("lock file"), "{told}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "dear");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let told = set_up(folder.path(), &cache);
    assert!(told.contains("can be written by others"), "{told}");
}

/// Unpacks wheels that hold a few bytes in the place of each library, in Python.
const UNPACK: &str = r#"
import importlib.util, pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[2])
spec = importlib.util.spec_from_file_location("libtorch", sys.argv[1])
libtorch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(libtorch)
def wheel(name, members):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member in members:
            archive.writestr(member, member)
    return folder / name
torch = ["torch/lib/" + name for name in libtorch.CUDA_LIBRARIES]
others = ["torch/__init__.py", "torch/bin/protoc", "torch-2.11.0.dist-info/RECORD", "../../outside/lib/libx.so"]
nvidia = ["nvidia/cu13/lib/libcublas.so.13", "nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cudnn/include/cudnn.h"]
wheels = [wheel("torch.whl", torch + others), wheel("nvidia.whl", nvidia)]
target = folder / "libtorch-2.11.0-cuda"
libtorch.unpack_cuda(wheels, target)
libtorch.verify_cuda(target)
print(*sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()), sep="\n")
def refused(change):
    change()
    try:
        libtorch.verify_cuda(target)
    except SystemExit as stopped:
        print(stopped)
refused(lambda: (target / "torch/lib/libmore.so").write_text("x"))
(target / "torch/lib/libmore.so").unlink()
refused(lambda: (target / "torch/lib/libtorch_cuda.so").write_text(""))
try:
    libtorch.unpack_cuda(wheels[1:], folder / "half")
except SystemExit as stopped:
    print(stopped)
print((folder / "half").exists())
"#;

#[test]
fn everything_for_gpus_is_unpacked_where_its_libraries_look() {
    let folder = tempfile::tempdir().unwrap();
    let script = workspace().join("scripts/libtorch.py");
    let mut command = Command::new("python3");
    let output = command.args(["-c", UNPACK]).arg(script).arg(folder.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = told.lines().collect();
    let files = [
        "manifest",
        "nvidia/cu13/lib/libcublas.so.13",
        "nvidia/cudnn/lib/libcudnn.so.9",
        "torch/build-version",
        "torch/lib/libc10.so",
        "torch/lib/libc10_cuda.so",
        "torch/lib/libtorch.so",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libtorch_cuda.so",
    ];
    assert_eq!(lines[..files.len()], files);
    let [more, emptied, half, left] = lines[files.len()..] else { panic!("{told}") };
    for refused in [more, emptied] {
        assert!(refused.contains("is not libtorch 2.11.0 as it was unpacked; remove it"), "{refused}");
    }
    assert!(half.contains("the wheels hold no libtorch.so, libtorch_cpu.so, libtorch_cuda.so"), "{half}");
    assert_eq!(left, "False");
}
