"""A SLURM of one node in a folder: its own configuration, key, sockets and ports. Nothing here is a
test. The daemons run as children, on the loopback interface.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

#: Daemons end with the process that started them, however it ends, or after two hours.
BOUND = ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=5", "7200"]
GPUS = 4
#: As many as the shards need side by side, however few the machine has.
CPUS = 8
#: MiB, as the rules ask for; what the jobs really take is far less.
MEMORY = 400_000

CONF = """
ClusterName=ruie
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SrunPortRange={ports[2]}-{ports[3]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
# no cgroups: memory is looked at every second
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
ReturnToService=2
KillWait=2
# jobs that have ended are soon forgotten, as on a busy cluster
MinJobAge=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
# one line for each job that ended
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
PartitionName=main Nodes={host} Default=YES MaxTime=7-0 State=UP
PartitionName=gpu Nodes={host} MaxTime=7-0 State=UP
"""


def missing() -> str:
    """Why there can be no SLURM here; empty where there can."""
    programs = (
        "munged",
        "mungekey",
        "setpriv",
        "slurmctld",
        "slurmd",
        "sbatch",
        "squeue",
        "scontrol",
    )
    absent = [p for p in programs if not shutil.which(p, path=PATH)]
    if absent:
        return f"no {absent[0]} here; make test-cluster installs Debian's packages where it can"
    return "" if os.getuid() == 0 else "slurmd starts jobs as root only"


PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def free_ports(n: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Node:
    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        self.started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf"),
        }  # fmt: skip
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(mode=0o755)
        for i in range(GPUS):
            os.mknod(folder / f"gpu{i}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
        first, second, low, high = sorted(free_ports(4))
        (folder / "slurm.conf").write_text(
            CONF.format(
                folder=folder, host=self.host, cpus=CPUS, memory=MEMORY, gpus=GPUS,
                ports=[first, second, min(low, high - 50), high],
            ).lstrip()
        )  # fmt: skip
        (folder / "gres.conf").write_text(
            f"AutoDetect=off\nNodeName={self.host} Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n"
        )

    def start(self) -> None:
        munge = self.folder / "munge"
        self.command("mungekey", "--create", f"--keyfile={munge}/key")
        self.daemon(
            "munged", "--foreground", "--force", f"--key-file={munge}/key",
            f"--socket={munge}/socket", f"--pid-file={munge}/pid", f"--log-file={munge}/log",
            f"--seed-file={munge}/seed",
        )  # fmt: skip
        self.wait_for("munged", (munge / "socket").exists)
        self.daemon("slurmctld", "-D", "-f", self.environment["SLURM_CONF"])
        self.wait_for("slurmctld", lambda: "is UP" in self.command("scontrol", "ping"))
        self.daemon("slurmd", "-D", "-f", self.environment["SLURM_CONF"])
        self.wait_for("slurmd", lambda: self.command("sinfo", "-h", "-o", "%T").startswith("idle"))

    def daemon(self, *words: str) -> None:
        with open(self.folder / f"{words[0]}.log", "wb") as log:
            self.started.append(
                subprocess.Popen(
                    [*BOUND, *words], env=self.environment,
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                )
            )  # fmt: skip

    def command(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self.environment, text=True, capture_output=True, timeout=60
        )
        return done.stdout

    def ended(self, rule: str = "") -> list[dict[str, str]]:
        """Jobs that ended (of one rule), in their order: JobId, Name, JobState, Partition, ..."""
        lines = (self.folder / "jobs.txt").read_text().splitlines()
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
        return [job for job in found if not rule or job["Name"].startswith(f"{rule}.")]

    def set_state(self, state: str) -> None:
        self.command("scontrol", "update", f"nodename={self.host}", f"state={state}", "reason=test")

    def wait_for(self, what: str, come: Callable[[], bool], seconds: float = 60) -> None:
        limit = time.monotonic() + seconds
        while not come():
            if time.monotonic() > limit:
                log = self.folder / f"{what}.log"
                tail = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
                raise AssertionError(f"{what} did not come in {seconds} s {tail}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Jobs first, which would outlive slurmd; then the daemons, the last first."""
        self.command("scancel", "--user=root")
        limit = time.monotonic() + 20
        while self.command("squeue", "-h") and time.monotonic() < limit:
            time.sleep(0.5)
        for process in reversed(self.started):
            process.terminate()  # timeout hands it on
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(20)
