"""Which two commits a scorecard compares: those that were asked for, else the newest and the one before it."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from energybench.gating.library import Library

LISTED = 8
"""Commits that an error names."""


class PairError(ValueError):
    """Two commits that cannot be compared; the message says which can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What was asked for: full hashes, and how they were called; None where the choice is free."""

    base: str | None = None
    head: str | None = None
    base_name: str = ""
    head_name: str = ""

    @property
    def commits(self) -> frozenset[str]:
        """Those that were asked for."""
        return frozenset(one for one in (self.base, self.head) if one)

    def name(self, commit: str) -> str:
        """`1a2b3c4d`; `main (1a2b3c4d)` where it was called otherwise."""
        called = {self.base: self.base_name, self.head: self.head_name}.get(commit, "")
        return commit[:8] if not called or commit.startswith(called) else f"{called} ({commit[:8]})"

    def of(self, measured: Set[str], rank: Mapping[str, int]) -> tuple[str, str] | None:
        """Base and head among the commits that a machine has results of; None where one of them is missing.

        Args:
            measured: these commits; those that were asked for may lie beside the branch.
            rank: the place of each commit of the branch.
        """
        line = sorted(measured & rank.keys(), key=rank.__getitem__)
        head = self.head or (line[-1] if line else "")
        before = [one for one in line if rank[one] < rank.get(head, 0)]
        base = self.base or (before[-1] if before else "")
        return (base, head) if base != head and {base, head} <= measured else None


def asked(library: Library, base: str | None, head: str | None) -> Pair:
    """The commits that some words stand for.

    Args:
        library: what there is.
        base: a commit, a branch or a tag; None for the commit before head.
        head: the same; None for the newest commit.

    Raises:
        PairError: git knows no such commit, or it has no results.
    """
    pair = Pair(
        base=_commit(library, base),
        head=_commit(library, head),
        base_name=base or "",
        head_name=head or "",
    )
    if pair.base and pair.base == pair.head:
        raise PairError(f"{base} and {head} are the same commit, {pair.base[:8]}; choose another for --base or --head")
    return pair


def impossible(library: Library, pair: Pair) -> PairError:
    """What to say where no machine has results of both commits."""
    both = " and ".join(pair.name(one) for one in (pair.base, pair.head) if one)
    if len(pair.commits) < 2:
        other = "an older one" if pair.head else "a newer one"
        return PairError(f"no machine has results of {both} and of {other}; {_remedy(library)}")
    return PairError(f"no machine has results of both {both}; {_remedy(library)}")


def _commit(library: Library, text: str | None) -> str | None:
    if text is None:
        return None
    commit = library.hash_of(text) or library.known_as(text)
    if commit is None:
        where = library.repository
        raise PairError(f"git knows no commit, branch or tag {text} in {where}; {_remedy(library)}")
    if not _has_results(library, commit):
        called = commit[:8] if commit.startswith(text) else f"{text} ({commit[:8]})"
        raise PairError(f"{called} has no results; {_remedy(library)}")
    return commit


def _has_results(library: Library, commit: str) -> bool:
    return any(one.commit == commit for one in library.recorded) or bool(library.results_of(commit)[0])


def _remedy(library: Library) -> str:
    names = library.commits()
    if not names:
        return "no commit has results yet: commit all changes, then run `energybench run qnn-infer`"
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return f"these have results: {', '.join(names[:LISTED])}{more}; choose one of them, or measure the other one first"
