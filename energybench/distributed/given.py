"""Ranks that somebody else started: what torchrun, Slurm or a hand has put into the environment."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass


class GivenError(ValueError):
    """An environment that names half a rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The place of this process among ranks that were started outside.

    Attributes:
        rank: from 0.
        nodes: how many ranks there are.
        local_rank: from 0 on each host.
        address: where the store of all ranks is.
        port: of the store.
        has_store: torchrun's agent holds the store; else rank 0 makes it.
    """

    rank: int
    nodes: int
    local_rank: int
    address: str
    port: int
    has_store: bool


def given(environ: Mapping[str, str] = os.environ) -> Given | None:
    """This process's place; None where nobody gave one.

    torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT (a hand may, to launch a node by itself);
    `srun` sets SLURM_PROCID and SLURM_STEP_NUM_TASKS.

    Raises:
        GivenError: one of them is missing or does not fit.
    """
    if environ.get("RANK") or environ.get("WORLD_SIZE"):
        return _checked(_from_torchrun(environ))
    if environ.get("SLURM_PROCID") and _number(environ, "SLURM_STEP_NUM_TASKS", "1") > 1:
        return _checked(_from_slurm(environ))
    return None


def _from_torchrun(environ: Mapping[str, str]) -> Given:
    wanted = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in wanted if not environ.get(name)]:
        there = ", ".join(name for name in wanted if environ.get(name))
        raise GivenError(f"{there} set and {', '.join(missing)} not: set all four, or none to start local ranks")
    return Given(
        rank=_number(environ, "RANK"),
        nodes=_number(environ, "WORLD_SIZE"),
        local_rank=_number(environ, "LOCAL_RANK", "0"),
        address=environ["MASTER_ADDR"],
        port=_number(environ, "MASTER_PORT"),
        has_store=environ.get("TORCHELASTIC_USE_AGENT_STORE", "False") == "True",
    )


def _from_slurm(environ: Mapping[str, str]) -> Given:
    hosts = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or "localhost"
    return Given(
        rank=_number(environ, "SLURM_PROCID"),
        nodes=_number(environ, "SLURM_STEP_NUM_TASKS"),
        local_rank=_number(environ, "SLURM_LOCALID", "0"),
        address=environ.get("MASTER_ADDR") or first_host(hosts),
        # Jobs that share a host have numbers of their own.
        port=_number(environ, "MASTER_PORT", str(20000 + _number(environ, "SLURM_JOB_ID", "0") % 20000)),
        has_store=False,
    )


def first_host(hosts: str) -> str:
    """The first host of a Slurm list such as `gpu[03-07,12],login1`: `gpu03`."""
    if "[" in hosts and shutil.which("scontrol"):
        done = subprocess.run(["scontrol", "show", "hostnames", hosts], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.split():
            return done.stdout.split()[0]
    found = re.match(r"([^,\[]+)(?:\[(\d+))?", hosts)
    return f"{found[1]}{found[2] or ''}" if found else hosts


def _checked(place: Given) -> Given:
    if not 0 <= place.rank < place.nodes:
        raise GivenError(f"rank {place.rank} of {place.nodes}: ranks go from 0 to {place.nodes - 1}; correct RANK")
    if not 0 < place.port < 1 << 16:
        raise GivenError(f"MASTER_PORT={place.port} is no port; give one from 1 to 65535")
    return place


def _number(environ: Mapping[str, str], name: str, default: str = "") -> int:
    text = environ.get(name) or default
    if not text.strip().isdecimal():
        raise GivenError(f"{name}={text!r} is no whole number; correct it, or unset it to start local ranks")
    return int(text)
