"""How a report is cited: BibTeX, plain text and a CITATION.cff, from the records alone.

Nothing is invented. Authors are who they are told to be, and absent where nobody was named. The digest tells a reader
whether the records that he has are those of the report:

    energybench.reports.citation.digest(one.record for one in frames.read(path)[0])
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energybench.gating.recorded import digest_of
from energybench.reports import frames
from energybench.reports.frames import Stored
from energybench.terminal import visible

FEW = 3
"""So many names are listed; of more the first, and how many others there are."""
KINDS = ("measured", "estimated", "modelled", "simulated")
BIBTEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """What is cited.

    Attributes:
        title: of the report.
        authors: `Family, Given` for a person, any other text for a group; empty where nobody was named.
        address: where the report is published; empty where it is not.
        workloads: names, sorted.
        machines: names for people, sorted, simulated ones marked so.
        kinds: provenances of the joules, in the order of `KINDS`.
        first: the day of the oldest record, ISO 8601; `last` that of the newest.
        commits: full hashes, of the oldest record first; records of changed files have none.
        versions: of energybench that wrote the records, sorted.
        records: how many.
        digest: SHA-256 over all records, as `digest` has it.
    """

    title: str
    authors: tuple[str, ...] = ()
    address: str = ""
    workloads: tuple[str, ...]
    machines: tuple[str, ...]
    kinds: tuple[str, ...]
    first: str
    last: str
    commits: tuple[str, ...]
    versions: tuple[str, ...]
    records: int
    digest: str


def cite(
    stored: Sequence[Stored], *, authors: Sequence[str] = (), title: str = "", address: str = ""
) -> Citation | None:
    """The citation of a report of these records; None where there are none.

    Args:
        stored: all records of the report.
        authors: `Family, Given` for a person, any other text for a group.
        title: by default it names the workloads.
        address: where the report is published.
    """
    if not stored:
        return None
    records = [one.record for one in stored]
    days = sorted(str(one["created"])[:10] for one in records)
    workloads = tuple(sorted(map(_line, {one["workload"]["name"] for one in records})))
    named = {(one.machine, one.record["machine"]["name"]): one.record for one in stored}
    commits = dict.fromkeys(frames.commit_of(one) for one in sorted(records, key=lambda one: str(one["created"])))
    kinds = {result["provenance"] for one in records for result in one["results"].values() if result["unit"] == "J"}
    return Citation(
        title=_line(title) or _of(workloads),
        authors=tuple(filter(None, map(_line, authors))),
        address=_line(address),
        workloads=workloads,
        machines=tuple(sorted({_line(frames.title(one)) for one in named.values()})),
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        first=days[0],
        last=days[-1],
        commits=tuple(_line(one) for one in commits if one),
        versions=tuple(sorted(map(_line, {one["energybench"] for one in records}))),
        records=len(records),
        digest=_over((str(one.record["id"]), one.digest) for one in stored),
    )


def _of(workloads: Sequence[str]) -> str:
    """The title of a report that has none of its own."""
    return f"Energy report of {_several(workloads, 'workload')}"


def digest(records: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over records, whatever files and whatever order they are in; one that is there twice counts once.

    What is hashed: of each record, in the order of their ids, the SHA-256 of a line, as `sha256sum` writes it, and a
    newline. The line is the record's JSON with sorted keys, without spaces, in UTF-8.
    """
    return _over((str(one["id"]), digest_of(one)) for one in records)


def _over(digests: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{one}\n" for _, one in sorted(set(digests))).encode()).hexdigest()


def plain(citation: Citation) -> str:
    """One paragraph, for a text."""
    who = f"{'; '.join(citation.authors)}. " if citation.authors else ""
    where = f" {citation.address}" if citation.address else ""
    return f"{who}{citation.title}. {_what(citation)}. SHA-256 of the records: {citation.digest}.{where}"


def bibtex(citation: Citation) -> str:
    """A BibTeX entry. Without authors it has none, and styles sort it by its key."""
    year = citation.last[:4]
    fields = {
        "author": " and ".join(map(_bibtex_name, citation.authors)),
        "title": f"{{{_tex(citation.title)}}}",
        "year": year,
        "howpublished": f"Energy report by energybench {_tex(_several(citation.versions, 'version'))}",
        "url": _url(citation.address),
        "note": f"{_tex(_what(citation))}. SHA-256 of the records: {citation.digest}",
    }
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}},\n" for name, value in fields.items() if value]
    return f"@misc{{energybench{year}{citation.digest[:8]},\n{''.join(lines)}}}\n"


def cff(citation: Citation) -> str | None:
    """The text of a CITATION.cff (version 1.2.0) for the data of the report; None without authors, which it must have.

    A name with a comma is a person's, any other that of an entity.
    """
    if not citation.authors:
        return None
    lines = [
        "cff-version: 1.2.0",
        "message: If you use these numbers, please cite the report as below.",
        "type: dataset",
        f"title: {_yaml(citation.title)}",
        "authors:",
        *(line for name in citation.authors for line in _cff_name(name)),
        f"abstract: {_yaml(f'{_what(citation)}.')}",
        *([f"commit: {_yaml(citation.commits[0])}"] if len(citation.commits) == 1 else []),
        "identifiers:",
        "  - type: other",
        f"    value: {_yaml(f'sha256:{citation.digest}')}",
        "    description: SHA-256 of the records",
        *([f"url: {_yaml(_url(citation.address))}"] if re.match(r"(https?|s?ftp)://", citation.address) else []),
    ]
    return "\n".join(lines) + "\n"


def _what(citation: Citation) -> str:
    """What was measured where and when, without a full stop."""
    when = citation.first if citation.first == citation.last else f"{citation.first} to {citation.last}"
    commits = [one[:12] for one in citation.commits]
    count = f"{citation.records} record{'s' if citation.records != 1 else ''}"
    if citation.title != _of(citation.workloads):
        count += f" of {_several(citation.workloads, 'workload')}"
    parts = [
        f"{count} on {_several(citation.machines, 'machine')}",
        when,
        f"joules {' and '.join(citation.kinds)}" if citation.kinds else "no joules",
        *([f"commit{'s' if len(commits) > 1 else ''} {_several(commits, 'commit')}"] if commits else []),
        f"energybench {_several(citation.versions, 'version')}",
    ]
    return ", ".join(parts)


def _several(names: Sequence[str], what: str) -> str:
    """`a`, `a, b and c`, or `a and 4 more machines`."""
    if len(names) > FEW:
        return f"{names[0]} and {len(names) - 1} more {what}s"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _line(text: object) -> str:
    """One line; characters that neither YAML nor BibTeX can hold, or that nobody sees, are spelt out."""
    return visible(" ".join(str(text).split()))


def _tex(text: str) -> str:
    return "".join(BIBTEX.get(one, one) for one in text)


def _bibtex_name(name: str) -> str:
    """A name that BibTeX takes apart at its comma, or leaves whole where it is no person's."""
    person = name.count(",") == 1 and not re.search(r"\band\b", name, re.IGNORECASE)
    return _tex(name) if person else f"{{{_tex(name)}}}"


def _cff_name(name: str) -> list[str]:
    family, comma, given = (part.strip() for part in name.partition(","))
    if comma and family and given:
        return [f"  - family-names: {_yaml(family)}", f"    given-names: {_yaml(given)}"]
    return [f"  - name: {_yaml(name)}"]


def _url(address: str) -> str:
    """An address without what would end it in BibTeX."""
    return "".join(f"%{ord(one):02X}" if one in '{}\\ "<>^`|' else one for one in address)


def _yaml(text: str) -> str:
    """A double-quoted scalar: JSON's is one, of a line without control characters."""
    return json.dumps(text, ensure_ascii=False)
