"""The command lines of `gate`, `history`, `collect` and `init-asv`: what results say of commits."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

app = typer.Typer()

Records = Annotated[Path | None, typer.Option("--records", metavar="DIR", help="The folder of records.")]
Results = Annotated[
    Path | None, typer.Option("--results", metavar="DIR", help="asv's results_dir; by default asv.conf.json's.")
]
Machine = Annotated[str | None, typer.Option("--machine", metavar="NAME", help="The id or name of a machine.")]
Json = Annotated[bool, typer.Option("--json", help="Data on stdout as one JSON object; all else on stderr.")]


@app.command()
def gate(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A commit, a folder of records, or asv results.")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="What is judged: the same.")],
    run: Annotated[
        bool, typer.Option("--run", help="Measure both commits now, in interleaved rounds of the asv suite.")
    ] = False,
    records: Records = None,
    results: Results = None,
    machine: Machine = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="PROVENANCE", help="Judge these as well: estimated, simulated."),
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SHARE", help="How much worse is still good: joules=0.05, accuracy=0.01, a glob=…"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Judge only these: a family (modelled, accuracy …), a metric, or a glob."),
    ] = None,
    allow_missing: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Series that head need not have; '*' for all."),
    ] = None,
    accepted: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Accepted regressions; by default accepted-regressions.toml, if there."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="With --run: rounds before the first look.")] = 10,
    max_rounds: Annotated[int, typer.Option(min=4, help="With --run: rounds of a point at most.")] = 40,
    budget: Annotated[float | None, typer.Option(min=1, help="With --run: seconds; no pair is begun later.")] = None,
    suite: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --run: the suite; by default asv.conf.json's.")
    ] = None,
    bench: Annotated[
        str | None, typer.Option(metavar="REGEX", help="With --run: only these points, as 'qnn-infer bits=8'.")
    ] = None,
    build: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="With --run: run in each commit's files first.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="With --run: the Python that has the project's libraries.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --run: measure on a machine that is not quiet.")] = False,
    canary_reset: Annotated[
        bool, typer.Option("--canary-reset", help="With --run: take what the canary says now as the new normal.")
    ] = False,
    json: Json = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write Markdown; $GITHUB_STEP_SUMMARY gets it anyway.")
    ] = None,
    smaller: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write customSmallerIsBetter JSON of head.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what passes too.")] = False,
) -> int:
    """Judge HEAD against BASE. Exit 0 pass, 1 regression, 2 not comparable, 3 inconclusive, 4 not measured."""
    from energybench._commands.gate import Asked, Outputs, judged
    from energybench.config import load_settings

    live = {
        "rounds": rounds,
        "max_rounds": max_rounds,
        "budget": budget,
        "suite": suite,
        "bench": bench,
        "build": build,
        "python": python,
        "force": force,
        "canary_reset": canary_reset,
    }
    return judged(
        Asked(
            base=base,
            head=head,
            records=load_settings({"records": records}).records,
            results=results,
            machine=machine,
            margins=margin or (),
            allow=allow or (),
            allow_missing=allow_missing or (),
            only=only or (),
            accepted=accepted,
            live=live if run else None,
            outputs=Outputs(as_json=json, verbose=verbose, junit=junit, markdown=markdown, smaller=smaller),
        )
    )


@app.command()
def history(
    since: Annotated[
        str | None, typer.Option(metavar="COMMIT|DAY", help="Leave out what came before, as 2027-01-31.")
    ] = None,
    series: Annotated[str, typer.Option(metavar="GLOB", help="Only these series.")] = "*",
    branch: Annotated[str, typer.Option(metavar="NAME", help="Whose commits.")] = "HEAD",
    machine: Machine = None,
    records: Records = None,
    results: Results = None,
    json: Json = False,
) -> int:
    """Change points of every series over commits, each with the commit that made it, worse or better."""
    from energybench._commands.history import history as told
    from energybench.config import load_settings

    place = load_settings({"records": records}).records
    return told(
        records=place, results=results, branch=branch, since=since, series=series, machine=machine, as_json=json
    )


@app.command()
def collect(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Folders, git branches (git:REPOSITORY@BRANCH:PATH), s3://… ."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where everything goes.")],
    prefer: Annotated[
        str | None,
        typer.Option(metavar="WHICH", help="Of two with one name: first, or newest. Conflicts are named else."),
    ] = None,
    json: Json = False,
) -> int:
    """Merge the records and asv results of several machines; exit 2 where two of one name differ."""
    from energybench._commands.collect import collect as merged

    if prefer not in (None, "first", "newest"):
        raise typer.BadParameter(f"{prefer!r} is neither first nor newest", param_hint="--prefer")
    return merged(sources, output, prefer=cast("Literal['first', 'newest'] | None", prefer), as_json=json)


@app.command(name="init-asv")
def init_asv_command(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The project; a git repository.")] = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be written; write nothing.")] = False,
    requirement: Annotated[
        str | None,
        typer.Option("--energybench", metavar="REQUIREMENT", help="How pip gets energybench in asv's environments."),
    ] = None,
) -> int:
    """Add an energy suite to a project, and asv's configuration where it has none."""
    from energybench._commands.init_asv import init_asv

    return init_asv(folder, dry_run=dry_run, requirement=requirement)
