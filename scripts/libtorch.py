#!/usr/bin/env python3
"""Fetches the libtorch that the engine links against, once per user, and points this checkout at it.

The libraries come out of the PyPI wheels of torch and of the two CUDA libraries that libtorch_cpu needs to
load. Only the CPU view is unpacked: headers, libtorch_cpu, libc10, libgomp. A LIBTORCH that is already set is
respected. With --cuda, a second folder gets everything that the engine loads on a machine with a GPU, from the wheels
that torch depends on; the build always uses the CPU view, so that the same programs run on both. Everything lands in one cache ($VESTORE_CACHE, else $XDG_CACHE_HOME/vestore, else
~/.cache/vestore) that all checkouts share; a wheel that is already there and whole is not fetched again. What is
there already is used only if nobody else could have put it there and every file is the wheels' own.
"""

import argparse
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
# What torch's libraries for GPUs load besides. Found with `pip install --dry-run --report`; triton and the Python
# packages that torch imports are not libtorch's.
CUDA_WHEELS = WHEELS + [
    ("nvidia-cublas==13.1.0.3", "manylinux_2_27_x86_64",
     "nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl",
     "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171"),
    ("nvidia-cuda-nvrtc==13.0.88", "manylinux2010_x86_64",
     "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
     "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"),
    ("nvidia-cudnn-cu13==9.19.0.56", "manylinux_2_27_x86_64",
     "nvidia_cudnn_cu13-9.19.0.56-py3-none-manylinux_2_27_x86_64.whl",
     "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf"),
    ("nvidia-cufft==12.0.0.61", "manylinux2014_x86_64",
     "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
     "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"),
    ("nvidia-cufile==1.15.1.6", "manylinux2014_x86_64",
     "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
     "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"),
    ("nvidia-curand==10.4.0.35", "manylinux_2_27_x86_64",
     "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
     "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
    ("nvidia-cusolver==12.0.4.66", "manylinux_2_27_x86_64",
     "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
     "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112"),
    ("nvidia-cusparse==12.6.3.3", "manylinux2014_x86_64",
     "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
     "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"),
    ("nvidia-cusparselt-cu13==0.8.0", "manylinux2014_x86_64",
     "nvidia_cusparselt_cu13-0.8.0-py3-none-manylinux2014_x86_64.whl",
     "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd"),
    ("nvidia-nccl-cu13==2.28.9", "manylinux_2_18_x86_64",
     "nvidia_nccl_cu13-2.28.9-py3-none-manylinux_2_18_x86_64.whl",
     "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42"),
    ("nvidia-nvjitlink==13.0.88", "manylinux2010_x86_64",
     "nvidia_nvjitlink-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
     "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b"),
    ("nvidia-nvshmem-cu13==3.4.5", "manylinux2014_x86_64",
     "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
     "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"),
    ("nvidia-nvtx==13.0.85", "manylinux1_x86_64",
     "nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl",
     "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4"),
]
CUDA_LIBRARIES = ["libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libc10_cuda.so"]
# SHA-256 over a line `path SHA-256` (links: `path -> target`) of every file of the unpacked folder, sorted.
MANIFEST = "920c3103377a103b071e2cd2163be41cc431c95695cbe5e1b9ed884abe4838bf"
NEEDED_BYTES = 1_400_000_000  # wheels 0.55 GB, unpacked 0.53 GB, headers, some room
CUDA_NEEDED_BYTES = 9_000_000_000  # wheels 2 to 3 GB, unpacked about 5 GB, some room
CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
NAME = pathlib.Path(sys.argv[0]).stem  # `splice-model` imports this file


def stop(message):
    sys.exit(f"{NAME}: {message}")


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
    lines = "".join(listing(target, sha256))
    found = hashlib.sha256(lines.encode()).hexdigest()
    if found != MANIFEST:
        stop(f"{target} is not libtorch {VERSION} as the wheels hold it (SHA-256 of its files {found}, expected "
             f"{MANIFEST}); remove it and run this again")


def verify_cuda(target):
    """Stops unless `target` holds what was unpacked, by names and sizes: reading 5 GB would take every build long."""
    manifest = target / "manifest"
    want = manifest.read_text() if manifest.is_file() and not manifest.is_symlink() else ""
    if "".join(line for line in listing(target, size) if not line.startswith("manifest ")) != want:
        stop(f"{target} is not libtorch {VERSION} as it was unpacked; remove it and run this again")


def size(path):
    return path.stat().st_size


def listing(target, describe):
    """A line for every file below `target`, sorted; stops at one that others could have written."""
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
                lines.append(f"{place} {describe(path)}\n")
            else:
                stop(f"{path} is not a regular file; remove {target} and run this again")
    return sorted(lines)


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
        print(f"{NAME}: {name} is damaged, fetching it again", flush=True)
        path.unlink()
    print(f"{NAME}: fetching {requirement}", flush=True)
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


def extract(wheels, partial, place_of):
    """Unpacks the members for which `place_of` has a path."""
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith("/") or (path := place_of(member)) is None:
                    continue
                place = partial / path
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(place, "wb") as out:  # checks the archive's CRC
                    shutil.copyfileobj(source, out, 1 << 20)


def cpu_place(member):
    if member in LIBRARIES:
        return f"lib/{LIBRARIES[member]}"
    return member.removeprefix("torch/") if member.startswith("torch/include/") else None


def cuda_place(member):
    """Where the wheels have it: libraries of torch find those of NVIDIA relative to themselves."""
    parts = member.split("/")
    if ".." in parts:
        return None
    is_library = ".so" in parts[-1] and "lib" in parts[:-1] and parts[0] in ("torch", "nvidia")
    return member if is_library else None


def unpack_cuda(wheels, target):
    """As `unpack`, of everything that a GPU needs."""
    partial = target.with_name(target.name + ".partial")
    extract(wheels, partial, cuda_place)
    missing = [name for name in CUDA_LIBRARIES if not (partial / "torch/lib" / name).exists()]
    if missing:
        stop(f"the wheels hold no {', '.join(missing)}")
    (partial / "torch/build-version").write_text(f"{VERSION}+cu130\n")
    (partial / "manifest").write_text("".join(listing(partial, size)))
    partial.rename(target)


def unpack(wheels, target):
    """Unpacks into a temporary name and renames, so that a killed set-up never leaves half a libtorch."""
    partial = target.with_name(target.name + ".partial")
    extract(wheels, partial, cpu_place)
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
    parser = argparse.ArgumentParser(description="Fetch libtorch.")
    parser.add_argument("--cuda", action="store_true", help="also fetch everything that a GPU needs (about 5 GB)")
    cuda = parser.parse_args().cuda
    if given := os.environ.get("LIBTORCH"):
        if not (pathlib.Path(given) / "lib").is_dir():
            stop(f"LIBTORCH is set to {given}, which has no lib folder; correct it or unset it")
        print(f"libtorch: using LIBTORCH={given}")
        return
    os.umask(0o022)
    cpu = set_up("cpu", WHEELS, NEEDED_BYTES, unpack, verify)
    point_checkout_at(cpu)
    if cuda:
        set_up("cuda", CUDA_WHEELS, CUDA_NEEDED_BYTES, unpack_cuda, verify_cuda)


def set_up(view, wheels, needed, unpack, verify):
    """Fetches and unpacks a view of libtorch unless it is there, and verifies it; returns its folder."""
    cache = cache_folder()
    target = cache / f"libtorch-{VERSION}-{view}"
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
                if free + have < needed:
                    stop(f"{cache} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed; "
                         "make room or set VESTORE_CACHE to a folder on another disk")
                unpack([fetch(downloads, *wheel) for wheel in wheels], target)
                for wheel in wheels:
                    (downloads / wheel[2]).unlink(missing_ok=True)
    check_owner(cache)
    check_owner(target)
    verify(target)
    print(f"libtorch: {target}")
    return target


if __name__ == "__main__":
    main()
