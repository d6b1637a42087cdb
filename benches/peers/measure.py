"""Runs programs and tells how long they took and how much memory they had."""

import collections
import hashlib
import os
import subprocess
import sys
import time

import numpy as np

TIME = "/usr/bin/time"  # GNU time; memory is left out where it is missing


# Wall-clock seconds, user and system seconds; MB. A child of this process has its peak at least, so memory is GNU
# time's to tell, in a run of its own.
Cost = collections.namedtuple("Cost", "seconds cpu peak", defaults=[float("nan")])


def cost_of(command, stdout=None):
    """Of one run, started as a shell starts it; fails when the program fails."""
    command = [str(word) for word in command]
    null = os.open(stdout or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, used = os.wait4(process, 0)
    passed = time.perf_counter() - started
    os.close(null)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return Cost(passed, used.ru_utime + used.ru_stime)


def seconds_of(command, stdout=None):
    """Wall-clock seconds of one run."""
    return cost_of(command, stdout).seconds


def in_turns(rounds):
    """Median cost of each command of a round. The first round fills caches and tells the memory, and no more."""
    peaks = [run(command)[1] for command in rounds[0]]
    turns = [[cost_of(command) for command in commands] for commands in rounds[1:]]
    return [middle(costs)._replace(peak=peak) for costs, peak in zip(zip(*turns), peaks)]


def middle(costs):
    """Medians; memory is the most that any had."""
    seconds, cpu, peaks = zip(*costs)
    return Cost(float(np.median(seconds)), float(np.median(cpu)), max(peaks))


def digest_of(command):
    """Of what a program prints, and how many lines that is."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    digest, lines = hashlib.blake2b(), 0
    while piece := process.stdout.read(1 << 20):
        digest.update(piece)
        lines += piece.count(b"\n")
    if process.wait():
        sys.exit(f"{command} failed")
    return digest.hexdigest(), lines


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
