"""Three commits on a scratch clone: one costs energy, one changes nothing, one loses accuracy; asv, gate and history.

    python tests/bench/gate_demo.py [--folder DIR]

The clone is of this repository as it is committed. Its commits are measured by `asv run` in an environment that asv
makes, on the simulated machine, whose joules follow the processor time of what is measured. Then `energybench gate`
judges each against its parent, from what asv stored and, where that leaves joules open, by interleaved rounds; on a
virtual machine whose cores have other users these may leave it open too, and counts and accuracy decide.
`energybench history` names the commits. It ends with 1 where any of them says something else than was planted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BENCH = r"QnnTrain.*\(8\)"
POINT = "qnn-train bits=8"
ROUNDS = ("--rounds", "3", "--max-rounds", "6", "--margin", "joules=0.15")
TRAINER = "workloads/qnn/training.py"
MACHINE = "1,idle_watts=0"


@dataclass(frozen=True)
class Planted:
    """A commit of the demonstration, and what the gate must say of it."""

    subject: str
    file: str
    changes: tuple[tuple[str, str], ...]
    exit: int
    metrics: tuple[str, ...] = ()


COMMITS = (
    Planted(
        "Look at each minibatch before learning from it",
        TRAINER,
        (("        loss = (1 - self._targets", "        self._model(self._model.values(self._pixels[chosen]).float())\n"
          "        loss = (1 - self._targets"),),
        1,
        ("modelled_joules_per_sample",),
    ),
    Planted(
        "Say in one word more what a trainer is",
        TRAINER,
        (("A network in training: `step` after `step`", "A network in patient training: `step` after `step`"),),
        0,
    ),
    Planted(
        "Smooth some labels",
        TRAINER,
        (
            ("        scores = self._model(", "        labels = (self._labels[chosen] + (chosen % 3 == 0)) % 10\n"
             "        scores = self._model("),
            ("self._targets[self._labels[chosen]] * scores", "self._targets[labels] * scores"),
        ),
        1,
        ("accuracy",),
    ),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the clone goes, and stays; a folder that is removed else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="energybench-demo-") as scratch:
        place = arguments.folder or Path(scratch) / "clone"
        return demonstrate(place)


def demonstrate(place: Path) -> int:
    begin = time.monotonic()
    git(REPOSITORY, "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(place))
    git(place, "checkout", "--quiet", "-B", "main")
    commits = [git(place, "rev-parse", "HEAD"), *(commit(place, one) for one in COMMITS)]
    asv(place, "machine", "--yes")
    (place / ".asv").mkdir(exist_ok=True)
    (place / ".asv" / "commits").write_text("\n".join(commits) + "\n")
    asv(place, "run", "--quick", "--record-samples", "--bench", BENCH, "HASHFILE:.asv/commits")
    print(f"\n{len(commits)} commits measured in {time.monotonic() - begin:.0f} s", flush=True)
    wrong = [one.subject for one, pair in zip(COMMITS, pairwise(commits), strict=True) if not judged(place, one, *pair)]
    wrong += named(place, commits)
    print(f"\n{time.monotonic() - begin:.0f} s in all; ", end="")
    print(f"not as planted: {'; '.join(wrong)}" if wrong else "every commit was judged as planted", flush=True)
    return 1 if wrong else 0


def commit(place: Path, planted: Planted) -> str:
    """Plant a change; the new commit's hash."""
    file = place / planted.file
    text = file.read_text()
    for old, new in planted.changes:
        if text.count(old) != 1:
            raise SystemExit(f"{planted.file} has {text.count(old)} times {old!r}: correct this script")
        text = text.replace(old, new)
    file.write_text(text)
    git(place, "commit", "--quiet", "--all", "--message", planted.subject)
    return git(place, "rev-parse", "HEAD")


def judged(place: Path, planted: Planted, base: str, head: str) -> bool:
    """Whether the gate says what was planted: by what is stored, else by rounds, else by what noise does not touch."""
    print(f"\n--- {planted.subject}", flush=True)
    words = ["gate", base, head, "--allow", "simulated"]
    code, told = energybench(place, *words, "--only", "joules,modelled,accuracy")
    if code == 3:
        print("... what is stored leaves joules open: interleaved rounds", flush=True)
        code, told = energybench(place, *words, "--only", "joules", "--run", "--bench", POINT, *ROUNDS)
    if code in (0, 3):
        open_still = ", and these rounds do not tell on this machine" if code else ""
        print(f"... counts and accuracy, which noise does not touch{open_still}", flush=True)
        code, told = energybench(place, *words, "--only", "modelled,accuracy")
    found = {one["metric"] for one in told.get("series", []) if one["verdict"] == "regression"}
    return code == planted.exit and set(planted.metrics) <= found


def named(place: Path, commits: list[str]) -> list[str]:
    """What history does not say as it was planted."""
    _, told = energybench(place, "history")
    worse = {one["commit"]["hash"] for one in told.get("changes", []) if one["direction"] == "worse"}
    expected = {commits[1], commits[3]}
    return [] if worse == expected else [f"history blames {sorted(one[:8] for one in worse)}"]


def energybench(place: Path, *words: str) -> tuple[int, dict]:
    """Run the command on the clone's results; its exit code and JSON. What it tells people is shown."""
    done = subprocess.run(
        [sys.executable, "-m", "energybench", *words, "--json"],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.returncode, json.loads(done.stdout or "{}")


def asv(place: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "asv", *words], cwd=place, env=environment(place), check=True)


def environment(place: Path) -> dict[str, str]:
    own = {"ENERGYBENCH_SIMULATE": MACHINE, "ENERGYBENCH_PYTHON": sys.executable, "PYTHONPATH": str(place)}
    return {name: value for name, value in os.environ.items() if name != "ENERGYBENCH_RECORDS"} | own


def git(place: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "demo@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=place, env={**os.environ, **who}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
