"""The versioned schema of a result: one record is one parameter point, measured once by the protocol.

Pydantic stands here, at the disk's edge, and nowhere else. A record is read strictly (a string is no number,
NaN and infinity are refused), a key that has nothing is absent, and keys unknown to this version are kept.
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from energybench.model import Provenance

SCHEMA = 1
LONG = re.compile(r"\d{309}")
"""Digits of a whole number that may be too large for a float."""
EXPECTED = {
    "id": "letters, digits, dots, hyphens and underscores, 181 at most",
    "created": "a time in UTC, as 2026-01-31T12:00:00Z",
}
"""What stands in place of a pattern, in words."""
FORMS = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
    "mapping": "an object",
}

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Scalar = int | float | str | bool


class RecordError(ValueError):
    """A record that is damaged, of an unknown version, or no record at all."""


class VersionError(RecordError):
    """A record of a schema that this energybench does not know."""


class Part(BaseModel):
    """What every piece of a record has in common."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
    )


class DomainEnergy(Part):
    """Joules of one domain over one window, or summed over several."""

    joules: float
    standard_uncertainty: NonNegative
    provenance: Provenance
    probe: str
    flags: list[str] = []
    components: dict[str, float] | None = None


class DomainUnavailable(Part):
    """A domain that could not be read: why, and what would make it readable."""

    unavailable: str
    remedy: str


Domains = dict[str, DomainEnergy | DomainUnavailable]


class TotalEnergy(Part):
    """Joules over a disjoint cut of the measured domains."""

    joules: float
    standard_uncertainty: NonNegative
    provenance: Provenance
    domains: list[str]
    missing: list[str] = []


class EstimatedEnergy(Part):
    """Joules by a power model where nothing can be read."""

    joules: NonNegative
    low: NonNegative
    high: NonNegative
    model: str
    idle_watts: NonNegative | None = None
    provenance: Literal["estimated"] = "estimated"


class ModelledEnergy(Part):
    """Counted operations and bytes times a named energy table, over the measured windows."""

    table: str
    joules: NonNegative
    arithmetic_joules: NonNegative
    memory_joules: NonNegative
    low: NonNegative | None = None
    high: NonNegative | None = None


class Window(Part):
    """One measured window, as the meter gave it: the gaps between steps are in its seconds and joules.

    Of a run to an accuracy: one pass over the training set, `training_pass` (from 1) of repeat `round`, and the
    held-out accuracy that was found after it. Of work in many processes: `communication` has how many `nodes` there
    were, and their `cpu_seconds`, `communication_cpu_seconds` (of these, moving bytes) and `waiting_seconds` (blocked).
    """

    seconds: Positive
    steps: Count
    samples: Count
    round: Count = 0
    gap_seconds: NonNegative = 0.0
    domains: Domains = {}
    total: TotalEnergy | None = None
    traffic: dict[str, float] = {}
    estimated: EstimatedEnergy | None = None
    flags: list[str] = []
    trace: list[list[JsonValue]] | None = None
    communication: dict[str, float] | None = None
    training_pass: Count | None = None
    accuracy: float | None = None

    @model_validator(mode="after")
    def _total_is_of_its_domains(self) -> "Window":
        named = self.total.domains if self.total else []
        missing = [name for name in named if not isinstance(self.domains.get(name), DomainEnergy)]
        if missing:
            raise ValueError(f"the total of a window is over {', '.join(missing)}, of which it has no joules")
        return self


class Idle(Part):
    """The machine with everything prepared and nothing running, before or after the windows."""

    when: Literal["before", "after"]
    seconds: Positive
    domains: Domains = {}
    watts: dict[str, float] = {}


class Metric(Part):
    """One result with its interval (95 %) and where it comes from.

    `repeatability` is the standard uncertainty that repeats show, `systematic` the part that they cannot show
    (gain, idle baseline, aliasing); `standard_uncertainty` has both.
    """

    value: float
    low: float | None = None
    high: float | None = None
    standard_uncertainty: NonNegative | None = None
    repeatability: NonNegative | None = None
    systematic: NonNegative | None = None
    median: float | None = None
    repeats: Count | None = None
    unit: str
    provenance: Provenance
    higher_is_better: bool


class WorkloadPart(Part):
    """What was run; `definition` is what two records must share to be comparable.

    `source` is the SHA-256 of the workload's file, where it has one.
    """

    name: str
    version: int
    definition: dict[str, JsonValue]
    source: str | None = None


class ProtocolPart(Part):
    """How it was measured, settings included."""

    version: int
    windows: Count
    align: bool


class MachinePart(Part):
    """Where it was measured: a stable id that tells nothing, a name for people, and the fingerprint."""

    id: str
    name: str


class QuietPart(Part):
    """Whether the machine was doing anything else."""

    quiet: bool
    reasons: list[str] = []


class OperatorsPart(Part):
    """What the operator counter saw in one step, and what it had no formula for."""

    unmapped: list[str] = []
    counts: dict[str, JsonValue] = {}


class RepeatPart(Part):
    """One training from scratch: with which seed, how far it came, and the accuracy after each pass.

    `samples` and `seconds` are those of its windows; `elapsed_seconds` has the judging between them too.
    """

    seed: int
    reached: bool
    passes: Count
    samples: Count
    seconds: NonNegative
    elapsed_seconds: NonNegative
    accuracies: list[float]


class TargetPart(Part):
    """The accuracy that was trained to, when it counts as reached, and every repeat."""

    accuracy: float
    criterion: str
    most_passes: Count
    reached: Count
    best_accuracy: float
    repeats: list[RepeatPart]


class Record(Part):
    """One parameter point of one workload on one machine."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,180}$")]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
    energybench: str
    protocol: ProtocolPart
    workload: WorkloadPart
    parameters: dict[str, Scalar]
    seed: int
    quick: bool
    machine: MachinePart
    quiet: QuietPart
    seconds: NonNegative
    steps: Count
    samples: Count
    total: TotalEnergy | None = None
    traffic: dict[str, float] = {}
    domains: Domains = {}
    estimated: EstimatedEnergy | None = None
    modelled: ModelledEnergy | None = None
    idle: list[Idle] = []
    windows: list[Window]
    results: dict[str, Metric]
    operators: OperatorsPart | None = None
    target: TargetPart | None = None
    details: dict[str, JsonValue] | None = None
    flags: list[str] = []
    probes: dict[str, JsonValue] = {}
    sources: list[list[str]] | None = None
    trace: list[list[JsonValue]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values with the names of the schema; what is absent is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse(values: object) -> Record:
    """The record that these plain JSON values are; raises `RecordError` where they are none."""
    if not isinstance(values, Mapping) or "schema" not in values:
        raise RecordError("this is no energybench record: it has no `schema`")
    version = values["schema"]
    if type(version) is not int or version != SCHEMA:
        raise VersionError(f"schema {version!r} is not known here (this energybench reads {SCHEMA})")
    if not _all_finite(values):
        raise RecordError("a number in it is NaN, infinite or too large for a float")
    try:
        return Record.model_validate(values)
    except ValidationError as error:
        raise RecordError(_first_problem(error)) from error


def loads(text: str | bytes) -> Record:
    """The record in this JSON text."""
    try:
        values = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"this is not the JSON of a record: {error}") from error
    return parse(values)


def dumps(record: Record) -> str:
    """The JSON text of a record, checked as it will be when it is read back."""
    values = record.to_json()
    parse(values)
    return json.dumps(values, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a record, for programs in other languages."""
    return Record.model_json_schema(by_alias=True)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _all_finite(values: object) -> bool:
    """Whether every number at every depth is one; keys that the schema does not know are looked at as well.

    Writing it as JSON tells that of floats at once; only a whole number as long as no float has to be looked for.
    """
    try:
        text = json.dumps(values, allow_nan=False)
    except (ValueError, TypeError):
        return _each_finite(values)
    return not LONG.search(text) or _each_finite(values)


def _each_finite(values: object) -> bool:
    if isinstance(values, float):
        return math.isfinite(values)
    if isinstance(values, int):
        return abs(values) <= sys.float_info.max
    if isinstance(values, Mapping):
        return all(map(_each_finite, values.values()))
    if isinstance(values, list | tuple):
        return all(map(_each_finite, values))
    return True


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    place = ".".join(str(step) for step in first["loc"]) or "record"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{place} {_spoken(first)}{more}"


def _spoken(problem: Mapping[str, Any]) -> str:
    """What is wrong with one value, in the words of the schema's readers and not in those of its library."""
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch":
        return f"is not as the schema has it (expected {EXPECTED.get(str(problem['loc'][-1]), 'another form')})"
    bounds = {"greater_than": ("gt", "above"), "greater_than_equal": ("ge", "at least")}
    if kind in bounds:
        name, word = bounds[kind]
        return f"is {problem['input']}, and must be {word} {context[name]:g}"
    if kind == "literal_error" or kind == "enum":
        return f"is none of {context['expected'].replace(' or ', ', ')}"
    if kind == "value_error":
        return f"does not hold together: {context['error']}"
    form = next((words for name, words in FORMS.items() if kind.startswith(f"{name}_")), None)
    return f"is not {form}" if form else f"is not as the schema has it ({kind.replace('_', ' ')})"
