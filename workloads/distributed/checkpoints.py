"""A node's state on disk: written whole or not at all, two of them kept, and a damaged one told from a good one."""

import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any

import torch

KEPT = 2
_NAME = re.compile(r"step-(\d+)\.checkpoint")


class CheckpointError(ValueError):
    """A checkpoint that cannot be read back."""


class Checkpoints:
    """The checkpoints of one run of one node.

    Args:
        folder: of them alone.
        kept: how many stay.
    """

    def __init__(self, folder: Path, *, kept: int = KEPT) -> None:
        self._folder, self._kept = folder, kept
        self._marked: int | None = None

    def steps(self) -> list[int]:
        """At which steps there is one, the oldest first; a node that was killed while it wrote may leave one more."""
        return self._all()[-self._kept :]

    def write(self, step: int, state: dict[str, Any]) -> None:
        """Keep the state at a step, and the one before it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
        path = self.path(step)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(hashlib.sha256(data).digest() + data)
        part.replace(path)
        for old in self._all()[: -self._kept]:
            self.path(old).unlink(missing_ok=True)

    def read(self, step: int) -> dict[str, Any]:
        """The state at a step.

        Raises:
            CheckpointError: the file is damaged, or gone.
        """
        path = self.path(step)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {path} cannot be read ({error.strerror}); run again from the start"
            ) from error
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            raise CheckpointError(
                f"checkpoint {path} is damaged; remove it to go on from the one before, or from the start"
            )
        state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
        return state

    def rewind(self, step: int) -> None:
        """Remove those of later steps, which others do not have."""
        for later in self._all():
            if later > step:
                self.path(later).unlink(missing_ok=True)

    def mark(self, step: int) -> None:
        """Note in passing that a step is done: what is lost by an end without a word is known then."""
        if self._marked is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._marked = os.open(self._folder / "step", os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(self._marked, step.to_bytes(8, "little"), 0)

    def marked(self) -> int:
        """The last step that was noted; 0 for none."""
        try:
            return int.from_bytes((self._folder / "step").read_bytes(), "little")
        except OSError:
            return 0

    def close(self) -> None:
        """Note no more steps."""
        if self._marked is not None:
            os.close(self._marked)
            self._marked = None

    def forget(self) -> None:
        """Remove all of them."""
        self.close()
        for step in self._all():
            self.path(step).unlink(missing_ok=True)
        (self._folder / "step").unlink(missing_ok=True)

    def _all(self) -> list[int]:
        found = (_NAME.fullmatch(path.name) for path in self._folder.glob("step-*.checkpoint"))
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self._folder / f"step-{step:09}.checkpoint"
