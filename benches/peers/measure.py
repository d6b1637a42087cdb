"""Runs programs and tells how long they took and how much memory they had."""

import os
import subprocess
import sys
import time

import numpy as np

TIME = "/usr/bin/time"  # GNU time; memory is left out where it is missing


def seconds_of(command, stdout=None):
    """Wall-clock seconds of one run, started as a shell starts it; fails when the program fails."""
    null = os.open(stdout or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status = os.waitpid(process, 0)
    passed = time.perf_counter() - started
    os.close(null)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return passed


def run(command, shell=False):
    """Seconds and peak memory in MB of one run."""
    words = ["sh", "-c", command] if shell else [str(word) for word in command]
    timed = [TIME, "-f", "%M"] + words if os.path.exists(TIME) else words
    started = time.perf_counter()
    done = subprocess.run(timed, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    passed = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{words} failed: {done.stderr}")
    peak = int(done.stderr.split()[-1]) / 1000 if timed is not words else float("nan")
    return passed, peak


def output_of(command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def milliseconds(seconds):
    """Median and 95th percentile."""
    return tuple(float(value) * 1000 for value in np.percentile(seconds, [50, 95]))
