"""The bar of a run, drawn between windows and never during one: drawing costs joules too."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from energybench.settings import Progress
from energybench.terminal import console, duration, say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

STAGES = {
    "preflight": "Looking at the machine",
    "prepare": "Preparing",
    "idle": "Measuring the machine at rest",
    "warm-up": "Warming up",
    "windows": "Measuring",
    "training": "Training",
    "results": "Evaluating",
    "done": "Done",
}
SHORT_SECONDS = 2.0


class Display:
    """Shows where a run stands: a bar on a terminal, a line for each stage in a log.

    Args:
        seconds: what the run will take; a short one is not worth a bar.
    """

    def __init__(self, seconds: float) -> None:
        self._bar: Bar | None = None
        self._stage = ""
        self._wanted = seconds > SHORT_SECONDS

    def __enter__(self) -> Self:
        screen = console(stderr=True)
        if self._wanted and screen.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
            # No thread that redraws: it would run inside the windows.
            self._bar = Progress(*columns, TimeElapsedColumn(), console=screen, auto_refresh=False, transient=True)
            self._bar.add_task("", total=None, left="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Called by the protocol at every step."""
        left = f"{duration(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        if self._bar:
            text = STAGES[progress.stage]
            if progress.point:
                text = " ".join([text, progress.point.workload.name, progress.note]).rstrip()
            self._bar.update(
                self._bar.task_ids[0],
                description=text,
                completed=progress.done,
                total=progress.total,
                left=left,
            )
            self._bar.refresh()
        elif self._wanted and progress.stage not in (self._stage, "done"):
            say(f"{STAGES[progress.stage].lower()}{f', {left}' if left else ''}")
        self._stage = progress.stage
