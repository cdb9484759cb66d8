"""What tells points, records and runs apart: a few hexadecimal digits of plain JSON values."""

import hashlib
import json

from energybench.record import Record
from energybench.settings import Point, Settings, full_parameters


def key_of(point: Point, settings: Settings) -> str:
    """Ten hexadecimal digits that stand for a point: the same work, the same key."""
    work = point.workload
    source = getattr(point, "source", None)
    return digest([work.name, work.version, full_parameters(point, settings), settings.seed, settings.quick, source])


def record_key(record: Record) -> str:
    """The key of the point that a record is of."""
    work = record.workload
    return digest([work.name, work.version, record.parameters, record.seed, record.quick, work.source])


def digest(value: object) -> str:
    """Ten hexadecimal digits of plain JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:10]
