"""`energybench report`."""

from energybench._commands.results import result_tables
from energybench.config import Settings
from energybench.terminal import console, say


def build(settings: Settings) -> int:
    """Write the site, then print its path and the table of what is on it."""
    from energybench import store
    from energybench.reports import site_builder

    there = settings.records.is_dir()
    stored, problems = store.read_all(settings.records) if there else ([], [])
    page = site_builder.build(settings.records, settings.site)
    for problem in problems:
        say(f"left out {problem.path}: {problem.reason}. {problem.remedy}")
    if stored:
        console().print(*result_tables([one.record.to_json() for one in stored]))
    else:
        say(f"no record in {settings.records}; run `energybench run qnn-infer` first")
    console().print(page, soft_wrap=True)
    return 0
