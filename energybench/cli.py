"""The command `energybench`: parse, call, print."""

import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from energybench import __version__, boundary
from energybench._commands import judging
from energybench.terminal import console, emit

app = typer.Typer(
    name="energybench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Settings: flags, then ENERGYBENCH_* variables, then \\[tool.energybench] in pyproject.toml.",
)


def _workload_names(incomplete: str) -> list[str]:
    from energybench import workloads

    return [name for name in workloads.names() if name.startswith(incomplete)]


def _probe_names(incomplete: str) -> list[str]:
    from energybench import probes

    done, comma, last = incomplete.rpartition(",")
    return [f"{done}{comma}{name}" for name in probes.names() if name.startswith(last)]


def _parameter_names(context: typer.Context, incomplete: str) -> list[str]:
    from energybench import workloads

    chosen = context.params.get("workloads") or workloads.names()
    known = dict.fromkeys(key for name in chosen for key in workloads.load(name).parameters)
    return [f"{key}=" for key in known if key.startswith(incomplete)]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"energybench {__version__}")
        raise typer.Exit


def _allow_traceback(wanted: bool) -> None:
    if wanted:
        os.environ[boundary.TRACEBACK] = "1"


Json = Annotated[bool, typer.Option("--json", help="Data on stdout as one JSON object; all else on stderr.")]
Probes = Annotated[
    list[str] | None,
    typer.Option(
        "--probe",
        metavar="NAME",
        help="Use only this probe (again, or a,b, for several).",
        autocompletion=_probe_names,
    ),
]
Align = Annotated[bool | None, typer.Option("--align/--no-align", help="Let windows begin and end at counter ticks.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where the result goes.")]


@app.callback()
def energybench(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    _traceback: Annotated[
        bool,
        typer.Option("--traceback", help="Show Python's traceback of an error.", callback=_allow_traceback),
    ] = False,
) -> None:
    """What a change to a model, a kernel or a library costs in joules, bytes and accuracy."""


@app.command()
def doctor(
    json: Json = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="Say only whether a run may begin now: lock, quiet, canary; else exit 4.")
    ] = False,
) -> int:
    """What can be read here, how finely; what is missing, how to grant it. Exit 4: no energy source."""
    if ready:
        from energybench._commands import ready as readiness
        from energybench.config import load_settings

        return readiness.ready(load_settings({}).records, as_json=json)
    from energybench import doctor as examiner
    from energybench._commands.tables import doctor_tables

    report = examiner.examine()
    if json:
        emit(report)
    else:
        console().print(*doctor_tables(report), sep="\n")
    return 0 if examiner.has_energy(report) else boundary.NO_ENERGY


@app.command(name="measure", context_settings={"allow_interspersed_args": False})
def measure_command(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The command and its arguments.")],
    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object on stdout, after the command; its own stdout goes to stderr."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the JSON here; stdout is the command's."),
    ] = None,
    probe: Probes = None,
    align: Align = None,
    repeat: Annotated[int, typer.Option("--repeat", "-r", min=1, help="Run it N times: median and spread.")] = 1,
) -> int:
    """Joules of the machine while a command runs, like `perf stat`. The exit code is the command's own."""
    from energybench._commands.measure import measure

    flags = {"probes": probe, "align": align}
    return measure(command, flags, as_json=json, output=output, repeat=repeat)


@app.command(name="list")
def list_workloads(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKLOAD]...", help="These alone.", autocompletion=_workload_names),
    ] = None,
    json: Json = False,
) -> int:
    """Workloads with their parameters, defaults, choices and what each means."""
    from energybench._commands import tables

    found = tables.describe_workloads(workloads or ())
    if json:
        emit({"schema": 1, "workloads": found})
    else:
        console().print(tables.workload_table(found))
    return 0


@app.command()
def run(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKLOAD]...", help="Names, or paths of your own files.", autocompletion=_workload_names
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=V,V", help="Values to run.", autocompletion=_parameter_names),
    ] = None,
    bits: Annotated[
        str | None,
        typer.Option(
            metavar="V,V",
            help="Short for --param bits=V,V: 1,2 is W1A1 and W2A2. Apart: --param wbits=1 --param abits=4.",
        ),
    ] = None,
    batch: Annotated[str | None, typer.Option(metavar="V,V", help="Short for --param batch=V,V.")] = None,
    nodes: Annotated[
        str | None, typer.Option(metavar="V,V", help="Short for --param nodes=V,V: processes that train together.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="V,V", help="Short for --param strategy=V,V, as sync,cultural.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="Short for --param data=…: the name of a data set, or the folder of its files, as ./mnist.",
        ),
    ] = None,
    quick: Annotated[bool | None, typer.Option("--quick/--no-quick", help="Fewer, shorter windows.")] = None,
    windows: Annotated[int | None, typer.Option(help="Measured windows a point, or trainings to an accuracy.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a window.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the workload's random numbers.")] = None,
    probe: Probes = None,
    align: Align = None,
    trace: Annotated[
        float | None, typer.Option(metavar="HZ", help="Keep a power trace of the windows, so many samples a second.")
    ] = None,
    energy_to_accuracy: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Train from scratch until this held-out accuracy, as 0.97, --windows times: joules to get there.",
        ),
    ] = None,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="Energy table of the modelled joules.")] = None,
    require: Annotated[
        str | None, typer.Option(metavar="PROVENANCE", help="Fail where joules are not `measured`.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help="The folder of records.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out the points that have a record already.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the points and the predicted time; run nothing.")
    ] = False,
    asv_suite: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Measure the time_* benchmarks of this asv suite instead of workloads."),
    ] = None,
    bench: Annotated[
        str | None, typer.Option(metavar="REGEX", help="With --asv-suite: only benchmarks that it is found in.")
    ] = None,
    max_params: Annotated[
        int | None, typer.Option(min=1, help="With --asv-suite: combinations of a benchmark at most.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, help="With --asv-suite: seconds; no combination is begun later.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="With --asv-suite: the Python that runs the suite.")
    ] = None,
    json: Json = False,
) -> int:
    """Measure a matrix of workloads and parameters, a record for each point; or an asv suite."""
    from energybench import matrix
    from energybench._commands import ranks
    from energybench._commands.data import data_values
    from energybench._commands.plan import show_plan
    from energybench._commands.run import measure_points
    from energybench.config import load_settings

    of_suite = {"bench": bench, "max_params": max_params, "budget": budget, "python": python}
    of_workloads = {
        "param": param,
        "bits": bits,
        "batch": batch,
        "nodes": nodes,
        "strategy": strategy,
        "data": data,
        "energy_to_accuracy": energy_to_accuracy,
        "table": table,
        "resume": resume or None,
        "dry_run": dry_run or None,
    }
    _one_of(workloads, asv_suite, of_workloads, of_suite)
    flags = {
        "probes": probe,
        "quick": quick,
        "windows": windows,
        "seconds": seconds,
        "seed": seed,
        "align": align,
        "trace": trace,
        "energy_to_accuracy": energy_to_accuracy,
    }
    settings = load_settings(flags | {"table": table, "require": require, "records": output})
    if asv_suite is not None:
        from energybench._commands.asv_suite import measure_suite

        return measure_suite(
            asv_suite, settings, bench=bench, max_params=max_params, budget=budget, python=python, as_json=json
        )
    names = workloads or []
    short = {"bits": bits, "batch": batch, "nodes": nodes, "strategy": strategy, "data": data_values(data)}
    points = matrix.points(names, ranks.with_nodes(matrix.parse(param or [], short), names))
    if (place := ranks.followed(points, settings)) is not None:
        return place()
    with ranks.led(points):
        if dry_run:
            return show_plan(points, settings, resume=resume, as_json=json)
        return measure_points(points, settings, resume=resume, as_json=json)


def _one_of(
    workloads: list[str] | None,
    suite: Path | None,
    of_workloads: Mapping[str, object],
    of_suite: Mapping[str, object],
) -> None:
    """Refuse a call that names neither workloads nor a suite, or both, or flags of the other one."""
    if workloads and suite is not None:
        raise typer.BadParameter(f"{workloads[0]} is a workload; run workloads and --asv-suite apart")
    if not workloads and suite is None:
        raise typer.BadParameter("missing; name a workload, or an asv suite with --asv-suite", param_hint="WORKLOAD")
    others, remedy = (of_suite, "goes with --asv-suite") if suite is None else (of_workloads, "is for workloads")
    if given := [name for name, value in others.items() if value is not None]:
        raise typer.BadParameter(remedy, param_hint=f"--{given[0].replace('_', '-')}")


@app.command()
def report(
    records: Annotated[
        Path | None,
        typer.Argument(metavar="RECORDS", help="Records, results of asv, a collection of both, or a project."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="The folder of the site.")
    ] = None,
    single_file: Annotated[
        Path | None, typer.Option("--single-file", metavar="FILE", help="Also write the whole site as this one file.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it on loopback; open pages reload when records arrive.")
    ] = False,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="To serve on; 0 for any that is free.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Draw everything again, not only what changed.")] = False,
    base: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Commit, branch or tag to compare with; by default the commit before head."),
    ] = None,
    head: Annotated[
        str | None, typer.Option(metavar="REF", help="What is compared; by default the newest commit with results.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the report, and what it is cited by.")] = None,
    author: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="'Family, Given', or a group; may be repeated.")
    ] = None,
    address: Annotated[str | None, typer.Option(metavar="URL", help="Where it is published, for its badges.")] = None,
) -> int:
    """Records and asv results to a static site that works offline; prints its path and a table."""
    from energybench._commands.report import Wanted, build
    from energybench.config import load_settings

    flags = {"records": records, "site": output, "title": title, "authors": author, "address": address}
    wanted = Wanted(single_file=single_file, serve=serve, port=port, fresh=fresh, base=base, head=head)
    return build(load_settings(flags), wanted)


@app.command()
def figure(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME[/PANEL]]", help="As --list prints it; a panel alone after a slash.")
    ] = None,
    records: Annotated[
        Path | None, typer.Argument(metavar="[RECORDS]", help="As for `report`: records, or a project.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="pdf|svg|png", help="By default as the file is named, else pdf.")
    ] = None,
    output: Output = None,
    columns: Annotated[int, typer.Option(min=1, max=2, help="Columns of a two-column paper.")] = 1,
    workload: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where there are several.", autocompletion=_workload_names)
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where there are several: its id or name.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of trend and scorecard: series of this metric alone.")
    ] = None,
    panel: Annotated[str | None, typer.Option(metavar="NAME", help="This panel alone.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="For a dark slide.")] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="The figures with their panels; of one figure all panels.")
    ] = False,
) -> int:
    """One figure for a paper: PDF, SVG or PNG at the width of one column or two, with fonts embedded."""
    from energybench._commands import figure as figures
    from energybench.config import load_settings
    from energybench.reports.chosen import Choice

    choice = Choice(workload=workload, machine=machine, metric=metric)
    if show_list:
        one = name if name and (records or figures.is_figure(name)) else None
        place = records if one or not name else Path(name)
        return figures.list_figures(load_settings({"records": place}), one, choice)
    if name is None:
        raise typer.BadParameter("missing; name a figure that --list prints", param_hint="NAME")
    return figures.draw(
        name,
        load_settings({"records": records}),
        choice=choice,
        kind=form,
        output=output,
        columns=columns,
        panel=panel,
        dark=dark,
    )


app.add_typer(judging.app)


def main(arguments: list[str] | None = None) -> None:
    """The console script."""
    _open_closed_streams()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = boundary.call(app, words)
    except Exception:  # --traceback asks for it; the exit codes of `measure` stay the command's all the same
        if next((word for word in words if not word.startswith("-")), "") != "measure":
            raise
        traceback.print_exc()
        code = boundary.MEASURE_FAILED
    sys.exit(code)


def _open_closed_streams() -> None:
    """Where a standard stream was closed (`>&-`), let nothing else take its number: what is said there is lost."""
    streams = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))
    for number, name, mode in streams:
        if getattr(sys, name) is not None:
            continue
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        os.set_inheritable(number, True)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- as long as we run
