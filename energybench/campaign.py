"""The stages of a measuring run, in their order; what is finished is in the journal."""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench import extras, stepping, to_accuracy, training
from energybench.assembly import Counting, Measured, Setting, assemble, plain_values
from energybench.dephase import Gap, choose_gap
from energybench.extras import TaskError
from energybench.journal import Journal
from energybench.keys import key_of
from energybench.meter import Meter
from energybench.model import Task
from energybench.record import Idle, Record, Window
from energybench.settings import Failure, Outcome, Point, Progress, Settings
from energybench.stepping import Bench, Warm
from energybench.store import Store, StoreError, read


class SamePointError(ValueError):
    """Two points of one run that their records could not tell apart."""


class ExitedError(RuntimeError):
    """A workload that called sys.exit, which would end the whole run."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """A point under way."""

    point: Point
    key: str
    task: Task
    prepare_seconds: float
    warm: Warm | None = None
    gap: Gap = field(default_factory=lambda: Gap(seconds=0.0, residual=0.0))
    steps: int = 1


class Campaign:
    """The stages of one run, in their order."""

    def __init__(
        self,
        bench: Bench,
        store: Store,
        settings: Settings,
        journal: Journal,
        tell: Callable[[Progress], None],
    ) -> None:
        self.bench, self.store, self.settings, self.journal, self.tell = bench, store, settings, journal, tell
        self.entries: list[Entry] = []
        self.failures: list[Failure] = []
        self.seconds = length_of_window(bench.meter, settings)
        self.sensors = stepping.blinking(bench.meter)
        self.reads_energy = bool(stepping.energy_domains(bench.meter))
        self.target = settings.energy_to_accuracy
        self.unit = "window" if self.target is None else "repeat"
        self.resumed = bool(journal.of(self.unit))

    def prepare(self, points: Sequence[Point]) -> None:
        """Make every point ready that has no record yet; what changed since the journal starts anew."""
        _refuse_twins(points, self.settings)
        for number, point in enumerate(points):
            self.tell(Progress(stage="prepare", done=number, total=len(points), point=point))
            key = key_of(point, self.settings)
            if self.journal.of("record", point=key):
                continue
            begin = self.bench.clock()
            try:
                task = self._prepared(point)
            except (Exception, SystemExit) as error:
                self.failures.append(Failure(point=point, error=as_error(error)))
                continue
            seconds = (self.bench.clock() - begin) / 1e9
            self.entries.append(Entry(point=point, key=key, task=task, prepare_seconds=seconds))
            if any(line["definition"] != plain_values(task.definition) for line in self.journal.of("ready", point=key)):
                self.journal.drop_point(key)

    def _prepared(self, point: Point) -> Task:
        task = point.workload.prepare(point.parameters, seed=self.settings.seed, quick=self.settings.quick)
        try:
            check(point.workload.name, task)
            if self.target is not None:
                training.check(point.workload.name, task)
        except TaskError:
            with suppress(Exception, SystemExit):
                task.close()
            raise
        return task

    def rest(self, when: str) -> None:
        """The idle baseline: all is loaded, nothing runs. Without a sensor there is nothing to learn."""
        if not (self.reads_energy and self.settings.idle_seconds and self.entries):
            return
        self.tell(Progress(stage="idle", done=0, total=1, seconds_left=self.settings.idle_seconds))
        values = stepping.rest(self.bench, self.settings.idle_seconds, when)
        self.journal.append("idle", values=values)

    def warm_up(self) -> None:
        """Bring each point to its steady state, and settle how many steps a window has."""
        for number, entry in enumerate(list(self.entries)):
            self.tell(Progress(stage="warm-up", done=number, total=len(self.entries), point=entry.point))
            if len(self.journal.of(self.unit, point=entry.key)) >= self.settings.windows:
                continue
            with self._or_fail(entry):
                entry.warm = stepping.warm_up(entry.task, self.bench, limit=self.settings.warmup_seconds)
                self._settle(entry, entry.warm)

    def measure(self) -> None:
        """Windows round by round, or whole trainings: each round visits every point once, in an order of its own."""
        total, done = self.settings.windows * len(self.entries), 0
        for turn in range(self.settings.windows):
            order = list(self.entries)
            random.Random(f"{self.settings.seed}-{turn}").shuffle(order)  # noqa: S311 -- an order, no secret
            for entry in order:
                left = (total - done) * self.seconds
                if self.target is None:
                    self.tell(Progress(stage="windows", done=done, total=total, point=entry.point, seconds_left=left))
                done += 1
                if self.journal.of(self.unit, point=entry.key, round=turn):
                    continue
                with self._or_fail(entry):
                    if self.target is None:
                        self._window(entry, turn)
                    else:
                        self._train(entry, turn, self.target)

    def finish(self, points: Sequence[Point], setting: Setting, counting: Counting | None) -> Outcome:
        """Quality, operators and the record of each point; a full disk is told after all were tried."""
        trouble: list[StoreError] = []
        for number, entry in enumerate(list(self.entries)):
            self.tell(Progress(stage="results", done=number, total=len(self.entries), point=entry.point))
            with self._or_fail(entry):
                record = self._assembled(entry, setting, counting)
                try:
                    path = self.store.write(record)
                except StoreError as error:
                    trouble.append(error)
                else:
                    self.journal.append("record", point=entry.key, path=str(path.resolve()))
        if trouble:
            raise trouble[0]
        return self._outcome(points)

    def close(self) -> None:
        """Give back what tasks hold, and close the journal."""
        for entry in self.entries:
            with suppress(Exception, SystemExit):
                entry.task.close()
        self.journal.close()

    def _settle(self, entry: Entry, warm: Warm) -> None:
        """Gap and steps of a point's windows, as they were where the run is resumed."""
        ready = self.journal.of("ready", point=entry.key)
        if ready:
            entry.steps = ready[-1]["steps"]
            entry.gap = Gap(seconds=ready[-1]["gap"], residual=ready[-1]["residual"])
            return
        if self.sensors and self.target is None:
            entry.gap = choose_gap(
                warm.step_seconds,
                self.sensors,
                window_seconds=self.seconds,
                limit=2 * max(self.settings.target_error, 0.01),
                gaps=self.settings.dephase and getattr(entry.task, "gaps", True) and self._knows_rest(),
            )
        if self.target is None:  # a pass of a training takes as long as it takes
            entry.steps = max(1, -int(-self.seconds // (warm.step_seconds + entry.gap.seconds)))
        self.journal.append(
            "ready",
            point=entry.key,
            steps=entry.steps,
            gap=entry.gap.seconds,
            residual=entry.gap.residual,
            definition=plain_values(entry.task.definition),
        )

    def _knows_rest(self) -> bool:
        """The energy of gaps is taken out as idle power; where that is not known, there are none."""
        return any(line["values"]["watts"] for line in self.journal.of("idle"))

    def _window(self, entry: Entry, turn: int) -> None:
        warm = entry.warm
        assert warm is not None
        slowest = max((sensor.tick for sensor in self.sensors), default=0.0)
        lead = max(2 * stepping.slowest_tick(self.bench.meter), 0.05 * self.seconds)
        values = stepping.measure(
            entry.task,
            self.bench,
            steps=entry.steps,
            lead=max(1, -int(-lead // (warm.step_seconds + entry.gap.seconds))),
            gap=entry.gap.seconds,
            offset=slowest * ((turn + 1) * stepping.GOLDEN % 1.0),
        )
        self.journal.append("window", point=entry.key, round=turn, values={"round": turn, **values})

    def _train(self, entry: Entry, turn: int, target: float) -> None:
        """One whole training with the seed of its round; one that is cut short leaves nothing, and begins anew."""
        name = entry.point.workload.name
        done, total = turn * len(self.entries), self.settings.windows * len(self.entries)
        done += len(self.journal.of("repeat", round=turn))

        def tell(passes: int, most: int, accuracy: float | None) -> None:
            note = f"pass {passes + 1} of at most {most}" + ("" if accuracy is None else f", accuracy {accuracy:.2%}")
            left = self._seconds_left(total - done)
            self.tell(
                Progress(stage="training", done=done, total=total, point=entry.point, seconds_left=left, note=note)
            )

        values = training.train(name, entry.task, self.settings.seed + turn, self.bench, target=target, tell=tell)
        self.journal.append("repeat", point=entry.key, round=turn, **values)

    def _seconds_left(self, repeats: int) -> float | None:
        """As long as the trainings before took; nobody knows before the first."""
        took = [line["elapsed_seconds"] for line in self.journal.of("repeat")]
        return repeats * sum(took) / len(took) if took else None

    def _assembled(self, entry: Entry, setting: Setting, counting: Counting | None) -> Record:
        run, name = self.journal.header["run"], entry.point.workload.name
        lines = self.journal.of(self.unit, point=entry.key)
        measured = Measured(
            id=re.sub(r"[^A-Za-z0-9._-]", "_", f"{run}-{name}-{entry.key}"),
            windows=self._windows(lines),
            idles=[Idle.model_validate(line["values"]) for line in self.journal.of("idle")],
            gap_seconds=self.journal.of("ready", point=entry.key)[-1]["gap"],
            sensors=self.sensors,
            blinking=tuple(d.name for d in stepping.energy_domains(self.bench.meter) if d.tick and d.seen < 1),
            resumed=self.resumed,
            prepare_seconds=entry.prepare_seconds,
            warm=entry.warm,
        )
        if self.target is not None:
            return to_accuracy.assemble(entry.point, entry.task, measured, lines, setting, counting)
        return assemble(entry.point, entry.task, measured, setting, counting)

    def _windows(self, lines: Sequence[Mapping[str, Any]]) -> list[Window]:
        """The windows of a point in the order of its rounds; of trainings, those of every pass."""
        if self.target is None:
            return [Window.model_validate(line["values"]) for line in lines]
        return [Window.model_validate({**w, "round": line["round"]}) for line in lines for w in line["windows"]]

    def _outcome(self, points: Sequence[Point]) -> Outcome:
        keys = [key_of(point, self.settings) for point in points]
        found = [line for key in keys for line in self.journal.of("record", point=key)[-1:]]
        paths = [Path(line["path"]) for line in found]
        return Outcome(records=[read(path) for path in paths], paths=paths, failures=self.failures)

    @contextmanager
    def _or_fail(self, entry: Entry) -> Iterator[None]:
        """A point that raises is left out; the others go on. A journal without room ends the run."""
        try:
            yield
        except StoreError:
            raise
        except (Exception, SystemExit) as error:
            self.failures.append(Failure(point=entry.point, error=as_error(error)))
            self.entries.remove(entry)
            # What it saw until then, such as a relaxation that ran away, is kept beside its windows.
            with suppress(Exception, SystemExit):
                told = extras.details(entry.point.workload.name, entry.task)
                self.journal.append("failed", point=entry.key, error=str(error), details=told)
            with suppress(Exception, SystemExit):
                entry.task.close()


def _refuse_twins(points: Sequence[Point], settings: Settings) -> None:
    seen: set[str] = set()
    for point in points:
        key = key_of(point, settings)
        if key in seen:
            name = point.workload.name
            raise SamePointError(f"{name}: two points have this name and the same parameters; give each its own name")
        seen.add(key)


def check(name: str, task: Task) -> None:
    """Refuse at once what a record could not hold after an hour of measuring."""
    if not isinstance(task.samples, int) or task.samples < 1:
        raise TaskError(f"{name}: its task has samples={task.samples!r}; it is a whole number, 1 or more")
    try:
        plain_values(task.definition)
    except (TypeError, ValueError) as error:
        raise TaskError(f"{name}: the definition of its task cannot be written as JSON: {error}") from error


def as_error(error: Exception | SystemExit) -> Exception:
    """The error of a point; a workload that exits is one that failed."""
    if isinstance(error, Exception):
        return error
    exited = ExitedError(f"the workload called sys.exit({'' if error.code is None else repr(error.code)})")
    return exited.with_traceback(error.__traceback__)


def length_of_window(meter: Meter, settings: Settings) -> float:
    """Seconds of a window: as told, or from tick and target error."""
    return settings.window_seconds or stepping.window_seconds(
        meter,
        target_error=settings.target_error,
        least=settings.min_seconds,
        most=settings.max_seconds,
        align=settings.align,
    )
