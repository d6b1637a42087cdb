#!/usr/bin/env python3
"""Fetches the libtorch that the engine links against, once per user, and points this checkout at it.

The libraries come out of the PyPI wheels of torch and of the two CUDA libraries that libtorch_cpu needs to
load. Only the CPU view is unpacked: headers, libtorch_cpu, libc10, libgomp. A LIBTORCH that is already set
is respected. Everything lands in one cache ($VESTORE_CACHE, else $XDG_CACHE_HOME/vestore, else
~/.cache/vestore) that all checkouts share; a wheel that is already there and whole is not fetched again. What is
there already is used only if nobody else could have put it there and every file is the wheels' own.
"""

import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import stat
import subprocess
import sys
import zipfile

VERSION = "2.11.0"
PYTHON = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"]
WHEELS = [  # requirement, platform tag, file, SHA-256
    (f"torch=={VERSION}", "manylinux_2_28_x86_64",
     f"torch-{VERSION}-cp311-cp311-manylinux_2_28_x86_64.whl",
     "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a"),
    ("nvidia-cuda-runtime==13.0.96", "manylinux2014_x86_64",
     "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
     "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    ("nvidia-cuda-cupti==13.0.85", "manylinux_2_25_x86_64",
     "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
     "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
]
LIBRARIES = {  # wheel member -> file in lib/
    "torch/lib/libtorch_cpu.so": "libtorch_cpu.so",
    "torch/lib/libc10.so": "libc10.so",
    "torch/lib/libgomp.so.1": "libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13": "libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13": "libcupti.so.13",
}
# SHA-256 over a line `path SHA-256` (links: `path -> target`) of every file of the unpacked folder, sorted.
MANIFEST = "920c3103377a103b071e2cd2163be41cc431c95695cbe5e1b9ed884abe4838bf"
NEEDED_BYTES = 1_400_000_000  # wheels 0.55 GB, unpacked 0.53 GB, headers, some room
CHECKOUT = pathlib.Path(__file__).resolve().parent.parent


def stop(message):
    sys.exit(f"libtorch: {message}")


def cache_folder():
    if folder := os.environ.get("VESTORE_CACHE"):
        return pathlib.Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "vestore"


def check_owner(path):
    """Stops where somebody else owns a file or folder, or may write to it; `path` is not followed."""
    found = os.lstat(path)
    if found.st_uid not in (os.geteuid(), 0):
        stop(f"{path} belongs to another user (uid {found.st_uid}); remove it, or set VESTORE_CACHE to a folder of "
             "your own")
    if not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o022:
        stop(f"{path} can be written by others (mode {stat.S_IMODE(found.st_mode):o}); `chmod -R go-w` it if you trust "
             "them, or set VESTORE_CACHE to a folder of your own")


def verify(target):
    """Stops unless `target` holds what the wheels hold and nothing else."""
    lines = []
    for folder, folders, files in os.walk(target):
        for name in [".", *folders, *files]:
            check_owner(os.path.join(folder, name))
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:
            path = pathlib.Path(folder) / name
            place = path.relative_to(target).as_posix()
            if path.is_symlink():
                lines.append(f"{place} -> {os.readlink(path)}\n")
            elif path.is_file():
                lines.append(f"{place} {sha256(path)}\n")
            else:
                stop(f"{path} is not a regular file; remove {target} and run this again")
    found = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    if found != MANIFEST:
        stop(f"{target} is not libtorch {VERSION} as the wheels hold it (SHA-256 of its files {found}, expected "
             f"{MANIFEST}); remove it and run this again")


def open_lock(path):
    """Opens the lock file: a plain one, never what a link points to."""
    try:
        lock = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600), "w")
    except OSError as error:
        stop(f"cannot open the lock file {path}: {error.strerror}; remove it if it is a link")
    if not stat.S_ISREG(os.fstat(lock.fileno()).st_mode):
        stop(f"the lock file {path} is not a regular file; remove it")
    return lock


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)


def _sha256(file):  # Python before 3.11
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def fetch(downloads, requirement, tag, name, want):
    path = downloads / name
    if path.exists():
        if sha256(path) == want:
            return path
        print(f"libtorch: {name} is damaged, fetching it again", flush=True)
        path.unlink()
    print(f"libtorch: fetching {requirement}", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet",
               "--disable-pip-version-check", *PYTHON, "--platform", tag, "--dest", str(downloads), requirement]
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        stop(f"cannot start pip: {error}")
    if done.returncode:
        stop(f"`pip download {requirement}` failed (see above); wheels that did arrive stay in {downloads}, "
             "so running this again goes on from there")
    if not path.exists() or sha256(path) != want:
        path.unlink(missing_ok=True)
        stop(f"{name} did not arrive with the expected SHA-256 {want}; run this again, and if it repeats, "
             "check what your package index serves")
    return path


def unpack(wheels, target):
    """Unpacks into a temporary name and renames, so that a killed set-up never leaves half a libtorch."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "lib").mkdir(parents=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member in LIBRARIES:
                    place = partial / "lib" / LIBRARIES[member]
                elif member.startswith("torch/include/") and not member.endswith("/"):
                    place = partial / member.removeprefix("torch/")
                else:
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(place, "wb") as out:  # checks the archive's CRC
                    shutil.copyfileobj(source, out, 1 << 20)
    missing = [name for name in LIBRARIES.values() if not (partial / "lib" / name).exists()]
    if missing:
        stop(f"the wheels hold no {', '.join(missing)}")
    # torch-sys links against `torch`; the CPU library is all there is behind that name here.
    (partial / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")
    (partial / "build-version").write_text(f"{VERSION}\n")
    partial.rename(target)


def point_checkout_at(libtorch):
    link = CHECKOUT / ".libtorch"
    if link.is_symlink() and link.resolve() == libtorch.resolve():
        return
    if link.is_symlink() or link.exists():
        link.unlink()
    link.symlink_to(libtorch)


def check_tools():
    if sys.platform != "linux" or platform.machine() != "x86_64":
        stop(f"only Linux on x86-64 is supported here, this is {sys.platform} on {platform.machine()}; "
             f"unpack libtorch {VERSION} yourself and set LIBTORCH to it")
    if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        stop("no C++ compiler found; install one (Debian, Ubuntu: `apt-get install g++`)")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        stop(f"{sys.executable} has no pip; install it (Debian, Ubuntu: `apt-get install python3-pip`)")


def main():
    if given := os.environ.get("LIBTORCH"):
        if not (pathlib.Path(given) / "lib").is_dir():
            stop(f"LIBTORCH is set to {given}, which has no lib folder; correct it or unset it")
        print(f"libtorch: using LIBTORCH={given}")
        return
    os.umask(0o022)
    cache = cache_folder()
    target = cache / f"libtorch-{VERSION}-cpu"
    if not os.path.lexists(target):
        check_tools()
        downloads = cache / "downloads"
        downloads.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in (cache, downloads):
            check_owner(folder)
        with open_lock(cache / "lock") as lock:  # two checkouts setting up at once take turns
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.lexists(target):
                free = shutil.disk_usage(cache).free
                have = sum(file.stat().st_size for file in downloads.iterdir() if file.is_file())
                if free + have < NEEDED_BYTES:
                    stop(f"{cache} has {free / 1e9:.1f} GB free and {NEEDED_BYTES / 1e9:.1f} GB are needed; "
                         "make room or set VESTORE_CACHE to a folder on another disk")
                unpack([fetch(downloads, *wheel) for wheel in WHEELS], target)
                for wheel in WHEELS:
                    (downloads / wheel[2]).unlink(missing_ok=True)
    check_owner(cache)
    check_owner(target)
    verify(target)
    point_checkout_at(target)
    print(f"libtorch: {target}")


if __name__ == "__main__":
    main()
