"""The command `vestore`, which comes with this package."""

from __future__ import annotations

import os
import sys
from typing import Sequence

from ._native import VestoreError


def place() -> str:
    """Where the command lies: with the scripts of this environment, or on PATH."""
    import shutil
    import sysconfig

    beside = os.path.join(sysconfig.get_path("scripts"), "vestore")
    found = beside if os.path.isfile(beside) else shutil.which("vestore")
    if found is None:
        raise VestoreError(f"the command `vestore` is missing: neither {beside} nor on PATH; reinstall the package")
    return found


def run(words: Sequence[str], *, quiet: bool = False) -> str:
    """Runs the command and returns what it says, which also goes to `sys.stderr` unless `quiet`.

    Ctrl-C is handed on: the command commits what it has and ends, then this raises. A second one stops it at once.
    """
    import signal
    import subprocess

    # Of a group of its own: a terminal would interrupt it once more, which means at once.
    command = subprocess.Popen(
        [place(), *words], stderr=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    )
    lines: list[str] = []
    stream = command.stderr
    assert stream is not None
    while True:
        try:
            for line in stream:
                lines.append(line)
                if not quiet:
                    sys.stderr.write(line)
                    sys.stderr.flush()
            command.wait()
            break
        except KeyboardInterrupt:
            command.send_signal(signal.SIGINT)
    stream.close()
    if command.returncode == 130:
        raise KeyboardInterrupt
    said = "".join(lines)
    if command.returncode != 0:
        _, _, message = ("\n" + said).rpartition("\nvestore: ")
        raise VestoreError(message.strip() or f"`vestore {words[0]}` ended with {command.returncode}")
    return said
