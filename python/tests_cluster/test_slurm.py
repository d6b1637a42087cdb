"""The array job of docs/cluster.md on a SLURM cluster of one machine: a controller and two nodes in namespaces."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
from conftest import ROOT, SCORE, rows, until, vestore

NEEDED = ["slurmctld", "slurmd", "sbatch", "scontrol", "unshare"]
MISSING = [program for program in NEEDED if shutil.which(program) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; `apt install slurm-wlm munge`"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd starts jobs as root only"),
]
CONFIGURATION = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmdTimeout=8
ReturnToService=2
NodeName=one NodeHostName={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=65536 Gres=gpu:1
NodeName=two NodeHostName={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=65536 Gres=gpu:1
PartitionName=all Nodes=one,two Default=YES State=UP
"""


class Slurm:
    """Daemons that this test started, with a configuration of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "OMP_NUM_THREADS": "1"}
        (folder / "state").mkdir()
        sockets = [socket.socket() for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        text = CONFIGURATION.format(host=socket.gethostname().partition(".")[0], folder=folder, ports=ports)
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text("AutoDetect=off\nNodeName=one,two Name=gpu File=/dev/zero\n")
        self.daemons = {"controller": self.spawn("slurmctld", "-D")}

    def spawn(self, *words):
        # In a namespace all of whose processes end with the first, like those of a machine.
        log = open(self.folder / f"{'.'.join(words)}.log", "a")
        words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words]
        return subprocess.Popen(words, stdout=log, stderr=log, env=self.environment, start_new_session=True)

    def node(self, name):
        (self.folder / name).mkdir(exist_ok=True)
        self.daemons[name] = self.spawn("slurmd", "-D", "-N", name)
        until(
            f"node {name} is up", lambda: self.ask("sinfo", "-h", "-n", name, "-o", "%T").strip() in ("idle", "mixed")
        )

    def ask(self, *words):
        asked = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return asked.stdout if asked.returncode == 0 else ""

    def kill(self, name):
        os.killpg(self.daemons[name].pid, signal.SIGKILL)
        self.daemons.pop(name).wait()

    def logs(self):
        return "\n".join(log.read_text()[-3000:] for log in self.folder.glob("*.log"))


@pytest.fixture
def slurm(tmp_path):
    folder = tmp_path / "slurm"
    folder.mkdir()
    slurm = Slurm(folder)
    try:
        slurm.node("one")
        slurm.node("two")
        yield slurm
    finally:
        print(slurm.logs())
        for name in reversed(list(slurm.daemons)):
            slurm.kill(name)


def script():
    """The array job that the documentation shows."""
    page = (ROOT / "docs/cluster.md").read_text()
    return re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", page, re.DOTALL)[1]


def test_an_array_job_survives_a_lost_node(slurm, store, wanted, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shard.sh").write_text(script())
    job = slurm_run(slurm, tmp_path, "sbatch", "--parsable", "shard.sh", store, *SCORE).strip()

    def running():
        """Nodes whose shard has committed something, by task."""
        found = {}
        for line in slurm.ask("squeue", "-h", "-r", "-j", job, "-t", "running", "-o", "%K %N").splitlines():
            task, node = line.split()
            if list((tmp_path / f"shards/{task}-of-8").rglob("*.parquet")):
                found[task] = node
        return found

    lost = until("both nodes have rows", lambda: set(running().values()) == {"one", "two"} and running())
    slurm.kill("two")
    task = next(task for task, node in lost.items() if node == "two")
    requeued(slurm, f"{job}_{task}")
    slurm.node("two")
    merge(slurm, tmp_path, job, store)
    assert rows(store) == wanted, (tmp_path / "merge.log").read_text()
    assert vestore("verify", store, "--quiet") == ""


def test_an_interrupted_task_requeues_itself(slurm, store, wanted, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shard.sh").write_text(script())
    job = slurm_run(slurm, tmp_path, "sbatch", "--parsable", "shard.sh", store, *SCORE).strip()
    until("rows are committed", lambda: list((tmp_path / "shards/1-of-8").rglob("*.parquet")))
    # What SLURM sends before the time limit (--signal).
    slurm.ask("scancel", "--signal=INT", f"{job}_1.0")
    requeued(slurm, f"{job}_1")
    merge(slurm, tmp_path, job, store)
    assert rows(store) == wanted
    log = (tmp_path / "shards/1.log").read_text()
    assert "interrupted: " in log and log.count('"begin"') == 2 and "there already" in log, log


def requeued(slurm, task):
    """Waits until a task waits again, and lets it start without the two minutes that SLURM has it wait."""
    job = lambda: slurm.ask("scontrol", "show", "job", task)
    until(f"{task} was requeued", lambda: re.search(r"Restarts=[1-9]", job()) and "JobState=PENDING" in job())
    slurm_run(slurm, slurm.folder, "scontrol", "update", f"jobid={task}", "starttime=now")


def merge(slurm, folder, job, store):
    """Merges all shards after the job."""
    words = [
        f"--dependency=afterok:{job}",
        "--wait",
        "--output=merge.log",
        f"--wrap=vestore merge {store} shards/*-of-8",
    ]
    slurm_run(slurm, folder, "sbatch", *words)


def slurm_run(slurm, folder, *words):
    """Runs a command of SLURM in `folder`, with `vestore` of this environment on PATH."""
    from vestore.program import place

    path = os.path.dirname(place()) + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env={**slurm.environment, "PATH": path}, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr + slurm.logs()
    return done.stdout
