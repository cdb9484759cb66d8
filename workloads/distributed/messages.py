"""Messages in a mailbox: what a codec wrote, behind a header of 22 bytes, as two rounds under one key.

Nodes that are started by themselves may be of another version, codec, batch or round; the header tells before anything
is decoded. Its fields, little-endian: `EB`, version (1 byte), codec (1), sender (2), round (4), rows (4), width (4) and
a CRC-32 of all these and of the body (4). A value is each message behind its length in 4 bytes, older first, so that
the value of two rounds is 52 bytes longer than their bodies.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from energybench.workloads.distributed.codecs import CODECS, Codec, MessageError

VERSION: Final = 1
ROUNDS: Final = 2
"""How many of a node's last rounds its key holds: a reader may be one round late."""

_MAGIC: Final = b"EB"
_FIELDS: Final = struct.Struct("<2sBBHIII")
_WORD: Final = struct.Struct("<I")
HEADER_BYTES: Final = _FIELDS.size + _WORD.size
LENGTH_BYTES: Final = _WORD.size
_NAMES: Final = {codec.number: name for name, codec in CODECS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one node told in one round.

    Attributes:
        sender: its rank.
        round: counted from the first exchange of the run.
        rows: samples.
        width: classes, or hidden units of the sender.
        body: uint8, as the codec wrote it.
    """

    sender: int
    round: int
    rows: int
    width: int
    body: Tensor


def pack(message: Message, codec: Codec) -> bytes:
    """A message as bytes, header first."""
    fields = _FIELDS.pack(_MAGIC, VERSION, codec.number, message.sender, message.round, message.rows, message.width)
    body = message.body.cpu().numpy().tobytes()
    return fields + _WORD.pack(zlib.crc32(body, zlib.crc32(fields))) + body


def unpack(data: bytes, *, sender: int, codec: Codec, rows: int, width: int | None = None) -> Message:
    """The message that a node put into its mailbox.

    Args:
        data: what `pack` gave.
        sender: whose mailbox it was in.
        codec: what the reader decodes with.
        rows: samples that the reader expects.
        width: classes that it expects; None for hidden units, of which nodes may have different numbers.

    Raises:
        MessageError: damaged, cut off, or of another version, codec, sender, batch or number of classes.
    """
    if len(data) < HEADER_BYTES:
        raise MessageError(
            f"rank {sender}'s message is {len(data)} B, less than its header of {HEADER_BYTES}: {_AGAIN}"
        )
    magic, version, number, said, turn, its_rows, its_width = _FIELDS.unpack_from(data)
    if magic != _MAGIC:
        raise MessageError(f"rank {sender}'s message is not energybench's: give this run a store of its own")
    _expect(sender, "version", version, VERSION, "the same energybench on every node")
    body = data[HEADER_BYTES:]
    if _WORD.unpack_from(data, _FIELDS.size)[0] != zlib.crc32(body, zlib.crc32(data[: _FIELDS.size])):
        raise MessageError(f"rank {sender}'s message is damaged or cut off, its CRC-32 differs: {_AGAIN}")
    _expect(sender, "codec", _NAMES.get(number, number), codec.name, "every node with the same codec")
    _expect(sender, "sender", said, sender, "every node with a rank of its own")
    _expect(sender, "rows", its_rows, rows, "every node with the same batch and exchange interval")
    if width is not None:
        _expect(sender, "classes", its_width, width, "every node with the same data set")
    if its_width < codec.least_width or len(body) != codec.bytes(its_rows, its_width):
        raise MessageError(
            f"rank {sender}'s message has a body of {len(body)} B, which is not {its_rows} × {its_width}"
        )
    tensor = torch.frombuffer(bytearray(body), dtype=torch.uint8)
    return Message(sender=said, round=turn, rows=its_rows, width=its_width, body=tensor)


def pack_value(messages: Sequence[bytes]) -> bytes:
    """A mailbox's value: the packed messages of the last rounds, older first."""
    return b"".join(_WORD.pack(len(message)) + message for message in messages)


def unpack_value(data: bytes, *, sender: int, codec: Codec, rows: int, width: int | None = None) -> tuple[Message, ...]:
    """The messages of a mailbox's value, older first; arguments and errors as of `unpack`."""
    parts = _parts(data, sender)
    return tuple(unpack(part, sender=sender, codec=codec, rows=rows, width=width) for part in parts)


_AGAIN: Final = "the node or the store that wrote it is faulty"


def _parts(data: bytes, sender: int) -> list[bytes]:
    parts: list[bytes] = []
    start = 0
    while start < len(data):
        body = start + LENGTH_BYTES
        stop = body + int.from_bytes(data[start:body], "little")
        if stop > len(data) or len(parts) == ROUNDS:
            raise MessageError(
                f"rank {sender}'s mailbox of {len(data)} B is not 1 to {ROUNDS} whole messages: {_AGAIN}"
            )
        parts.append(data[body:stop])
        start = stop
    if not parts:
        raise MessageError(f"rank {sender}'s mailbox is empty: {_AGAIN}")
    return parts


def _expect(sender: int, what: str, seen: object, expected: object, remedy: str) -> None:
    if seen != expected:
        raise MessageError(f"rank {sender}'s message has {what} {seen}, expected {expected}: start {remedy}")
