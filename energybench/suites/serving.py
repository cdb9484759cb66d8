"""Run by path in a project's own Python: finds the `time_*` of an asv suite and calls them when told.

    python serving.py BENCHMARK_DIR FOLDER ASV_RUNNER

FOLDER is for what setup_cache leaves. ASV_RUNNER is the folder of a package asv_runner for a Python that has none.
Each benchmark runs in a process of its own, forked from the one that imported the suite. It opens no counter: it says
where a window begins and ends, and waits until whoever measures has looked. Both sides speak in lines of JSON, on what
were stdin and stdout; the suite's own output goes elsewhere. It needs nothing but Python (3.10) and asv_runner.
"""

# ruff: noqa: SLF001 -- asv_runner has no other way into a benchmark

import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.util
import io
import itertools
import json
import numbers
import os
import pickle
import platform
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import types
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

POOL, MOST_POOL, POOL_BYTES = 64, 4096, 1 << 30
"""Instances of a pool: as many as a window takes, but no more than 64 unless a piece would be too short to be read."""
CHANGED_SECONDS, CHANGED_TIMES, LOOKS = 1e-3, 3.0, 8
"""A call after a setup that never takes less than this, nor less than so many repeated ones, is another call: what is
slow once is cold code and cold memory."""
PATIENCE, RAW_PATIENCE = 20, 5
"""How many times as long as its calls a window may take in pieces."""
ALIVE_SECONDS = 1.0
LONGEST_TIMEOUT = 365 * 86400.0
"""Seconds that stand for a timeout without end, for which JSON has no number."""
LONGEST = 1000
PACKAGES = ("torch", "numpy", "numba", "scikit-learn")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h

RAW = """
import json, os, time, timeit
looks = []
def say(**message):
    os.write({sink}, json.dumps(message).encode() + b"\\n")
    assert os.read({source}, 4096)
def look():
    if not looks:
        say(open=True, pid=os.getpid())
        looks.append(time.perf_counter_ns())
        return looks[0] / 1e9
    end = time.perf_counter_ns()
    say(close=[looks[0], end], calls={number}, window={window}, part="call")
    return end / 1e9
took = timeit.timeit(stmt={stmt!r}, setup={setup!r}, number={number}, timer=look)
print("\\n{took}", took)
"""
TOOK = "energybench-took"
"""What the last line of raw code begins with; code that ends Python before it never prints that."""


class Skipped(Exception):  # noqa: N818 -- no error: the suite says so
    """What the suite leaves out here."""


class Line:
    """Lines of JSON to and from who measures; the server and the process that it waits for take turns."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self._heard, self._last = b"", 0.0

    def say(self, **message: Any) -> None:
        """Tell something."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.sink, data) :]
        self._last = time.monotonic()

    def alive(self) -> None:
        """Tell that work goes on, now and then."""
        if time.monotonic() - self._last > ALIVE_SECONDS:
            self.say(alive=True)

    def ask(self, **message: Any) -> None:
        """Tell something, and wait until it was heard."""
        self.say(**message)
        if not self._next():
            os._exit(1)  # nobody measures any more

    def jobs(self) -> Iterator[dict[str, Any]]:
        """What is to be done. An answer that nobody waits for any more is passed over."""
        while text := self._next():
            message = json.loads(text)
            if "job" in message:
                yield message

    def _next(self) -> bytes:
        while b"\n" not in self._heard:
            more = os.read(self.source, 65536)
            if not more:
                return b""
            self._heard += more
        text, _, self._heard = self._heard.partition(b"\n")
        return text


class Calls:
    """One benchmark at one combination of its parameters, set up: how it is called, and in which windows.

    Args:
        benchmark: asv_runner's.
        line: to who measures.
        asked: `windows`, `seconds` of each, `lead` seconds before it, and `piece`: the shortest that can be read.
    """

    def __init__(self, benchmark: Any, line: Line, asked: dict[str, Any]) -> None:
        self.benchmark, self.line = benchmark, line
        self.seconds, self.lead, self.piece = asked["seconds"], asked["lead"], asked["piece"]
        self.setups, self.number = benchmark._setups, int(benchmark.number)
        self.windows = min(asked["windows"], most_windows(benchmark))
        self.param = given(benchmark)
        self.call = functools.partial(benchmark.func, *self.param) if self.param else benchmark.func
        self.note = ""

    def measure(self) -> dict[str, Any]:
        """Choose how it is called, and call it in windows."""
        mode, count = ("process", self.number) if is_raw(self.benchmark) else self._chosen()
        windows: dict[str, Callable[[int, int], object]] = {
            "process": self._processes,
            "batch": self._batch,
            "one-call": self._one_call,
            "pool": self._pools,
            "difference": self._difference,
        }
        for window in range(self.windows):
            windows[mode](window, count)
        return {"status": "ok", "mode": mode, "number": self.number, "note": self.note}

    def _chosen(self) -> tuple[str, int]:
        first = self._run([self.call])  # on what has been set up already
        os.dup2(1, 2)  # who crashes has mostly done so by now, and who prints in a window would fill the disk
        if self.setups and first < self.seconds:
            self._fresh()
            first = self._run([self.call])  # now imports and lazy caches are done
        if self.setups and self.number >= 1:
            return self._apart(first)
        try:
            count, each = self._batch_size(first)
            changed = self._changed(first, each) if self.setups and count > 1 else ""
        except Exception as error:
            if not self.setups:
                raise
            changed = f"a second call raised {type(error).__name__}"
            self._fresh()
        if not changed:
            return "batch", count
        self.note = changed
        return self._apart(first)

    def _apart(self, first: float) -> tuple[str, int]:
        """How to call what must be set up before each call."""
        if first >= self.seconds:
            return "one-call", 1
        if isinstance(self.benchmark.func, types.MethodType):
            try:
                with self._pool(2) as calls:
                    self._run(calls)
            except Exception as error:
                self.note = "; ".join(filter(None, [self.note, f"instances disturb each other: {error!r}"[:200]]))
            else:
                filling = min(POOL, int(self.seconds / max(first, 1e-9)))
                return "pool", min(MOST_POOL, max(2, filling, int(self.piece / max(first, 1e-9))))
        self._fresh()
        return "difference", self._filling(self._set_up_and_call)

    def _batch_size(self, first: float) -> tuple[int, float]:
        """How many calls fill a window, and the seconds of one; finding out warms up."""
        count, took = 1, first
        while took < self.seconds:
            count = self._more(count, took)
            if self.setups:
                self._fresh()
            took = self._run(itertools.repeat(self.call, count))
        return count, took / count

    def _filling(self, call: Callable[[], object]) -> int:
        """How many calls fill a window."""
        count, took = 1, self._run([call])
        while took < self.seconds:
            count = self._more(count, took)
            took = self._run(itertools.repeat(call, count))
        return count

    def _more(self, count: int, took: float) -> int:
        return max(count + 1, int(min(10.0, max(1.1, 1.1 * self.seconds / max(took, 1e-9))) * count))

    def _changed(self, first: float, each: float) -> str:
        """Why a repeated call is not what a call is, where fresh ones take much longer."""
        if 0.4 < each / first < 2.5:
            return ""
        fresh = first
        for _ in range(LOOKS):
            self._fresh()
            fresh = min(fresh, self._run([self.call]))
        if fresh <= CHANGED_SECONDS or fresh <= CHANGED_TIMES * each:
            return ""
        return f"it changes its own state: {fresh:.2g} s when fresh, {each:.2g} s repeated"

    def _batch(self, window: int, count: int) -> None:
        """Many calls after one setup; some before the window, which would begin with the machine at rest."""
        if self.setups:
            self._fresh()
        end = time.monotonic() + self.lead
        while time.monotonic() < end and count > 1:
            self.call()
        self._run(itertools.repeat(self.call, count), count=count, window=window, part="call")

    def _one_call(self, window: int, _count: int) -> None:
        self._fresh()
        self._run([self.call], count=1, window=window, part="call")

    def _pools(self, window: int, count: int) -> None:
        """A window in pieces: each a pool of instances that are called once."""
        took, end = 0.0, time.monotonic() + PATIENCE * self.seconds
        while took < self.seconds and (not took or time.monotonic() < end):
            with self._pool(count) as calls:
                took += self._run(calls, count=len(calls), window=window, part="call")

    def _difference(self, window: int, count: int) -> None:
        """A window of setups with calls, and one of setups alone, as long as it takes to be read."""
        self._run(itertools.repeat(self._set_up_and_call, count), count=count, window=window, part="call")
        setups = self._filling(self._fresh)
        self._run(itertools.repeat(self._fresh, setups), count=setups, window=window, part="setup")

    def _processes(self, window: int, count: int) -> None:
        """A window in pieces: each a new Python, which marks it after its imports."""
        took, end = 0.0, time.monotonic() + RAW_PATIENCE * self.seconds
        while took < self.seconds and (not took or time.monotonic() < end):
            stmt = self.call()
            stmt, setup = stmt if isinstance(stmt, tuple) else (stmt, "")
            code = RAW.format(
                source=self.line.source,
                sink=self.line.sink,
                number=count,
                window=window,
                took=TOOK,
                stmt=textwrap.dedent(stmt),
                setup=textwrap.dedent(setup),
            )
            environment = {**os.environ, **(getattr(self.benchmark, "_timeraw_env", None) or {})}
            descriptors = (self.line.source, self.line.sink)
            ran = subprocess.run(
                [sys.executable, "-c", code], pass_fds=descriptors, env=environment, capture_output=True, check=False
            )
            if ran.returncode:
                words = ran.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {ran.returncode}"]
                raise RuntimeError(words[-1])
            last = ran.stdout.decode(errors="replace").rstrip().rpartition("\n")[2].split()
            if last[:1] != [TOOK]:
                raise RuntimeError("its code ended Python before its calls were timed")
            took += float(last[1])

    def _run(self, calls: Iterable[Callable[[], object]], count: int = 0, **window: Any) -> float:
        """Seconds of the calls, the collector off as timeit has it; with a `window`, in one that is measured."""
        enabled = gc.isenabled()
        gc.collect()
        gc.disable()
        try:
            if window:
                self.line.ask(open=True, pid=os.getpid())
            begin = time.perf_counter_ns()
            for call in calls:
                call()
            end = time.perf_counter_ns()
            if window:
                self.line.ask(close=[begin, end], calls=count, **window)
        finally:
            if enabled:
                gc.enable()
        self.line.alive()
        return (end - begin) / 1e9

    def _fresh(self) -> None:
        self.benchmark.do_teardown()
        if self.benchmark.do_setup():
            raise Skipped("its setup skipped when it was run again")

    def _set_up_and_call(self) -> None:
        self._fresh()
        self.call()

    @contextlib.contextmanager
    def _pool(self, count: int) -> Iterator[list[Callable[[], object]]]:
        """Calls of instances that were set up each on its own, as many as there is room for."""
        own, made, before = self.benchmark.func.__self__, [], _resident()
        end = time.monotonic() + PATIENCE * self.seconds
        try:
            for _ in range(count):
                one = type(own)()
                made.append(one)
                for setup in self.setups:
                    _of(setup, own, one)(*self.param)
                self.line.alive()
                if _resident() - before > POOL_BYTES or time.monotonic() > end:
                    break
            yield [functools.partial(types.MethodType(self.benchmark.func.__func__, one), *self.param) for one in made]
        finally:
            for one in made:
                for teardown in self.benchmark._teardowns:
                    # They may share a file, which the first one took away.
                    with contextlib.suppress(Exception):
                        _of(teardown, own, one)(*self.param)


def _of(hook: Callable[..., object], own: object, one: object) -> Callable[..., object]:
    """A setup or teardown of one instance, where it is of the class."""
    if isinstance(hook, types.MethodType) and hook.__self__ is own:
        return types.MethodType(hook.__func__, one)
    return hook


def _resident() -> int:
    """Bytes of memory that this process has; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def is_raw(benchmark: Any) -> bool:
    """Whether it is a `timeraw_*`, whose code runs in a new Python."""
    return any(kind.__name__ == "TimerawBenchmark" for kind in type(benchmark).__mro__)


def most_windows(benchmark: Any) -> int:
    """How often a suite lets a benchmark be repeated whose calls it counts; many where it does not say."""
    repeat = benchmark.repeat
    if not isinstance(repeat, int):
        repeat = list(repeat)[1]
    return max(1, int(repeat)) if repeat and int(benchmark.number) >= 1 else 1_000_000


def given(benchmark: Any) -> tuple[Any, ...]:
    """What a benchmark is called with: its cache, where there is one, and its parameters."""
    built = getattr(benchmark, "_build_params", None)
    return tuple(built() if built else benchmark._current_params)


def measured(benchmark: Any, line: Line, asked: dict[str, Any]) -> dict[str, Any]:
    """In the benchmark's own process: set it up, measure, tear it down."""
    if benchmark._params:
        benchmark.set_param_idx(asked["index"])
    cache = pickle.loads(Path("cache.pickle").read_bytes()) if asked["cached"] else None  # noqa: S301 -- the suite's own
    if hasattr(benchmark, "set_cache"):
        benchmark.set_cache(cache)
    elif cache is not None:
        benchmark.insert_param(cache)
    if tuple(benchmark._current_params) in [tuple(one) for one in benchmark._skip_tuples if isinstance(one, tuple)]:
        raise Skipped("skip_params names this combination")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        skipped = benchmark.do_setup()
    if skipped:
        words = [text for text in said.getvalue().splitlines() if text.startswith("asv: skipped:")]
        raise Skipped(f"setup: {words[-1][14:].strip()}" if words else "its setup says so")
    try:
        return Calls(benchmark, line, asked).measure()
    finally:
        benchmark.do_teardown()


def cached(benchmark: Any) -> dict[str, Any]:
    """In a process of its own: what setup_cache gives, into the folder of those that share it."""
    Path("cache.pickle").write_bytes(pickle.dumps(benchmark.do_setup_cache()))
    return {"status": "ok"}


def answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work gave, or why it did not."""
    try:
        return work()
    except Skipped as reason:
        return {"status": "skipped", "reason": str(reason)[:LONGEST]}
    except BaseException as error:
        # asv's own mark for what cannot run here.
        skipped = type(error).__name__ == "SkipNotImplemented"
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return {"status": "skipped" if skipped else "failed", "reason": " ".join(text.split())[:LONGEST]}


def forked(line: Line, work: Callable[[], dict[str, Any]], folder: Path) -> None:
    """Do the work in a session of its own, and tell when it and whatever it started have ended."""
    others = _children()
    with tempfile.TemporaryFile() as noise:
        pid = os.fork()
        if not pid:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.setsid()
                os.chdir(folder)
                os.dup2(os.open(os.devnull, os.O_RDWR), 1)
                os.dup2(noise.fileno(), 2)
                line.say(started=os.getpid())
                line.say(done=answered(work))
            finally:
                os._exit(0)
        try:
            _, status = os.waitpid(pid, 0)
        finally:  # when this one is to end as well
            _sweep(pid, others)
        noise.seek(max(0, noise.seek(0, os.SEEK_END) - LONGEST))
        line.say(ended=status, noise=noise.read().decode(errors="replace"))


def _sweep(group: int, others: set[int]) -> None:
    """End a group of processes, and every child of ours that was not there before."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while left := _children() - others:
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children() -> set[int]:
    """The processes whose parent this one is, or has become."""
    found, me = set(), os.getpid()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == me:
                found.add(int(stat.parent.name))
    return found


def discovered(root: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """asv_runner's own discovery: benchmarks by name, and the modules and classes that raised."""
    from asv_runner import discovery
    from asv_runner._aux import update_sys_path

    broken: list[dict[str, str]] = []

    def lost(name: str, error: BaseException) -> None:
        broken.append({"name": name, "reason": " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]})

    def imported(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except BaseException as error:
            lost(name, error)
            raise

    get = discovery._get_benchmark

    def constructed(attribute: str, module: Any, kind: Any, function: Any) -> Any:
        try:
            return get(attribute, module, kind, function)
        except Exception as error:
            parts = [*module.__name__.split(".")[1:], *([kind.__name__] if kind else []), attribute]
            lost(".".join(parts), error)

    # It goes on without a module that fails, and tells nobody which; a class that raises would end it.
    discovery.importlib = types.SimpleNamespace(import_module=imported)
    discovery._get_benchmark = constructed
    update_sys_path(root)
    found = {one.name: one for one in discovery.disc_benchmarks(root, ignore_import_errors=True)}
    times = {name: one for name, one in found.items() if one.type == "time"}
    unusable = {name: reason for name, one in times.items() if (reason := wrong_timeout(one))}
    broken += [{"name": name, "reason": reason} for name, reason in unusable.items()]
    return {name: one for name, one in times.items() if name not in unusable}, broken


TIMEOUTS = ("timeout", "setup_cache_timeout")


def wrong_timeout(benchmark: Any) -> str:
    """What is wrong with how long a suite lets a benchmark be silent; nothing where it is a number or is not said."""
    for name in TIMEOUTS:
        told = getattr(benchmark, name, None)
        if told is not None and not (isinstance(told, numbers.Real) and float(told) >= 0):
            return f"its {name} {told!r} is no number of seconds"[:LONGEST]
    return ""


def described(benchmark: Any) -> dict[str, Any]:
    """What is told of a benchmark."""
    names = ("name", "pretty_name", "params", "param_names", "version", "code")
    told = {name: getattr(benchmark, name, None) for name in names}
    for name in TIMEOUTS:
        seconds = getattr(benchmark, name, None)
        told[name] = None if seconds is None else min(float(seconds), LONGEST_TIMEOUT)
    return {**told, "cache": benchmark.setup_cache_key}


def serve(line: Line, root: str, folder: Path) -> None:
    """Find the benchmarks, tell them, and do what is asked until nobody asks any more."""
    with contextlib.suppress(OSError, AttributeError):
        # What a benchmark leaves behind becomes a child of ours, and can be found.
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    found, broken = discovered(root)
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    line.say(
        found=[described(one) for one in found.values()],
        broken=broken,
        python=platform.python_version(),
        packages=versions,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # What the suite's modules hold is looked through no more: before each window a benchmark's process collects.
    gc.collect()
    gc.freeze()
    caches: dict[Any, Path] = {}
    for asked in line.jobs():
        benchmark = found[asked["name"]]
        key = benchmark.setup_cache_key
        if asked["job"] == "cache":
            caches[key] = Path(tempfile.mkdtemp(dir=folder))
            forked(line, functools.partial(cached, benchmark), caches[key])
            continue
        work = functools.partial(measured, benchmark, line, {**asked, "cached": key is not None})
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
            forked(line, work, Path(own) if key is None else caches[key])


def with_runner(folder: Path) -> None:
    """Let `import asv_runner` find the package in this folder, and nothing that is beside it."""
    if importlib.util.find_spec("asv_runner"):
        return
    spec = importlib.util.spec_from_file_location(
        "asv_runner", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["asv_runner"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def main(words: list[str]) -> None:
    """Keep stdin and stdout from the suite, and serve."""
    if sys.version_info < (3, 10):  # noqa: UP036 -- it is another project's Python
        sys.exit(f"Python {platform.python_version()} is too old to serve a suite, which takes 3.10")
    line = Line(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    # What lies beside this file is none of the suite's.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]
    with_runner(Path(words[2]))
    serve(line, words[0], Path(words[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
