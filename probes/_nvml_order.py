"""Which GPUs a CUDA program sees, in its order, as NVML's UUIDs.

CUDA numbers devices fastest first unless CUDA_DEVICE_ORDER says PCI_BUS_ID; NVML always goes by PCI address.
CUDA_VISIBLE_DEVICES holds ordinals, GPU- or MIG- UUIDs; the first entry that is not one of its kind, or that
names nothing, ends the list, and an entry that comes twice empties it. Sources: CUDA C Programming Guide,
environment variables; torch/cuda/__init__.py `_parse_visible_devices`, which had to find the unwritten rules.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence

from energybench.probes._nvml import Board, Session

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
ORDINAL = re.compile(r"\s*[+]?(\d+)")
OLD_SLICE = re.compile(r"MIG-(GPU-[0-9a-fA-F-]+)(?:/\d+){2}")
ASSUMED = "device-order-assumed"


def cuda_uuids(boards: Sequence[Board], environ: Mapping[str, str], parent: Callable[[str], str | None]) -> list[str]:
    """The UUIDs of CUDA's devices 0, 1, 2 … under this environment; a MIG slice is shown as its whole board.

    `parent` gives the board's UUID for a slice's, or None where there is no such slice.
    """
    ordered = _in_order(boards, environ.get(ORDER, ""))
    if VISIBLE not in environ:
        return [board.uuid for board in ordered]
    chosen: list[str] = []
    entries = [entry.strip() for entry in environ[VISIBLE].split(",")]
    kind = entries[0][:4] if entries[0][:4] in ("GPU-", "MIG-") else ""
    seen: set[str] = set()
    for entry in entries:
        key = entry if kind else _ordinal(entry)
        if kind and not entry.startswith(kind):
            break
        if key in seen:
            return []
        seen.add(key)
        uuid = _resolve(key, kind, ordered, parent)
        if uuid is None:
            break
        chosen.append(uuid)
    return list(dict.fromkeys(chosen))


def is_order_assumed(boards: Sequence[Board], environ: Mapping[str, str]) -> bool:
    """Whether ordinals were mapped by a guess of CUDA's heuristic: models differ, no order asked for."""
    unlike = len({board.name for board in boards}) > 1
    by_number = not environ.get(VISIBLE, "").strip().startswith(("GPU-", "MIG-"))
    return unlike and by_number and VISIBLE in environ and environ.get(ORDER) != "PCI_BUS_ID"


def torch_uuids() -> list[str] | None:
    """What torch says of its devices, where the program has brought CUDA up; it is never done here."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    count = torch.cuda.device_count()
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)]


def chosen_uuids(session: Session, boards: Sequence[Board], environ: Mapping[str, str]) -> tuple[list[str], bool]:
    """The UUIDs to meter in CUDA's order, and whether that order had to be guessed."""

    def parent(uuid: str) -> str | None:
        return parent_uuid(session, uuid)

    told = torch_uuids()
    if told is not None:
        known = [_from_torch(uuid, boards, parent) for uuid in told]
        if all(known):
            return list(dict.fromkeys(uuid for uuid in known if uuid)), False
    return cuda_uuids(boards, environ, parent), is_order_assumed(boards, environ)


def parent_uuid(session: Session, uuid: str) -> str | None:
    """The board of a MIG slice, given the slice's UUID in its new or old form."""
    old = OLD_SLICE.fullmatch(uuid)
    if old:
        return old[1]
    slice_handle = session.ask("nvmlDeviceGetHandleByUUID", uuid)
    handle = slice_handle and session.ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", slice_handle)
    found = session.ask("nvmlDeviceGetUUID", handle) if handle else None
    return found.decode() if isinstance(found, bytes) else found


def _from_torch(uuid: str, boards: Sequence[Board], parent: Callable[[str], str | None]) -> str | None:
    bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
    known = {board.uuid for board in boards}
    return f"GPU-{bare}" if f"GPU-{bare}" in known else parent(f"MIG-{bare}")


def _in_order(boards: Sequence[Board], order: str) -> list[Board]:
    by_address = sorted(boards, key=lambda board: board.index)
    return by_address if order == "PCI_BUS_ID" else sorted(by_address, key=lambda board: -board.speed)


def _ordinal(entry: str) -> str:
    """CUDA reads a number as C's strtoul does: `1gpu` is 1, anything else is none."""
    match = ORDINAL.match(entry)
    return str(int(match[1])) if match else "none"


def _resolve(key: str, kind: str, ordered: Sequence[Board], parent: Callable[[str], str | None]) -> str | None:
    if kind == "MIG-":
        uuid = parent(key)
        return uuid if uuid in {board.uuid for board in ordered} else None
    if kind == "GPU-":
        matches = [board.uuid for board in ordered if board.uuid.lower().startswith(key.lower())]
        return matches[0] if len(matches) == 1 else None
    return ordered[int(key)].uuid if key.isdigit() and int(key) < len(ordered) else None
