"""What a node tells of its outputs: codecs of a batch of logits or of hidden activity.

A message is bytes of one batch in a fixed length, without a header, so that it can be all-gathered as it is;
`messages` puts a header before it where nodes are not started together. Fields that are no whole bytes are packed over
the whole batch, highest bit first, and the bits left over in the last byte are 0.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

Source = Literal["logits", "hidden"]

_LEVELS: Final = 15
"""The highest value of 4 bits."""
_HALF_MAX: Final = torch.finfo(torch.float16).max


class MessageError(ValueError):
    """A message that is not what its reader expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One way to tell outputs.

    Attributes:
        name: what a configuration calls it.
        number: what a header calls it; never given to another codec.
        source: which outputs it takes.
        summary: what a message holds.
        length: bytes of a message of rows and width.
        written: the message of finite outputs.
        read: what a message of the right length says, of rows and width.
        compared: the loss of outputs that require gradients, against the mean of targets.
    """

    name: str
    number: int
    source: Source
    summary: str
    length: Callable[[int, int], int]
    written: Callable[[Tensor], Tensor]
    read: Callable[[Tensor, int, int], Tensor]
    compared: Callable[[Tensor, list[Tensor]], Tensor]

    @property
    def least_width(self) -> int:
        """The fewest classes, or hidden units, that have something to tell."""
        return 2 if self.source == "logits" else 1

    def bytes(self, rows: int, width: int) -> int:
        """Exact length of a message.

        Args:
            rows: samples in the batch.
            width: classes, or hidden units.

        Raises:
            ValueError: no rows, or fewer than 2 classes.
        """
        if rows < 1 or width < self.least_width:
            raise ValueError(
                f"{rows} × {width} {self.source} hold nothing to tell: give {self.name} at least 1 × {self.least_width}"
            )
        return self.length(rows, width)

    def encode(self, values: Tensor) -> Tensor:
        """The message of a batch.

        Args:
            values: float32 (rows, width).

        Returns:
            uint8 (bytes,).

        Raises:
            ValueError: nothing to tell, or NaN or infinity.
        """
        rows, width = values.shape
        self.bytes(rows, width)
        values = values.detach().float()
        if not torch.isfinite(values).all():
            raise ValueError(
                f"the {self.source} hold NaN or infinity, which {self.name} cannot tell: training has diverged, "
                "so lower the learning rate"
            )
        return self.written(values)

    def decode(self, message: Tensor, rows: int, width: int) -> Tensor:
        """What a message says.

        Args:
            message: uint8 (bytes,), also a slice of what was gathered.
            rows: samples in the batch.
            width: classes, or hidden units of the sender.

        Returns:
            float32: a distribution over the classes (rows, width), or bits (rows, width) of hidden activity.

        Raises:
            MessageError: of another length, or with values that no node can send.
        """
        expected = self.bytes(rows, width)
        if message.dtype != torch.uint8 or message.shape != (expected,):
            raise MessageError(
                f"a {self.name} message of {rows} × {width} is {expected} B, not {message.dtype} "
                f"{tuple(message.shape)}: start every node with the same codec, batch and classes"
            )
        return self.read(message, rows, width)

    def loss(self, outputs: Tensor, targets: Iterable[Tensor]) -> Tensor:
        """How far a node's outputs are from what its peers told of the same inputs.

        Distributions: cross-entropy against the mean over the peers, mean over the samples. Hidden activity: how far
        the similarities between the samples are from the peers' (Tung & Mori, ICCV 2019, section 3); which unit is
        which does not matter, nor how many a peer has.

        Args:
            outputs: logits or hidden activity (samples, width), with gradients.
            targets: decoded, one (samples, width of the peer) for each peer.

        Returns:
            A scalar.
        """
        return self.compared(outputs, list(targets))


def _packed(fields: Tensor, width: int) -> Tensor:
    """Whole numbers below 2^`width` as bytes, one field after another."""
    bits = (fields.flatten()[:, None] >> _places(width, fields)).bitwise_and(1).flatten()
    octets = functional.pad(bits, (0, -len(bits) % 8)).view(-1, 8)
    return (octets << _places(8, fields)).sum(1).to(torch.uint8)


def _unpacked(message: Tensor, count: int, width: int) -> Tensor:
    """The fields of `_packed`, int64 (count,)."""
    bits = (message.long()[:, None] >> _places(8, message)).bitwise_and(1).flatten()
    if bits[count * width :].any():
        raise MessageError("bits are set behind the last sample: the message is damaged or of another batch size")
    return (bits[: count * width].view(count, width) << _places(width, message)).sum(1)


def _places(width: int, like: Tensor) -> Tensor:
    return torch.arange(width - 1, -1, -1, device=like.device)


def _packed_bytes(bits: int) -> int:
    return -(-bits // 8)


def _label_bits(classes: int) -> int:
    return max(4, (classes - 1).bit_length())


def _check_labels(labels: Tensor, classes: int) -> None:
    if int(labels.max()) >= classes:
        raise MessageError(
            f"label {int(labels.max())} is not among {classes} classes: start every node with the same data set"
        )


def _write_floats(logits: Tensor) -> Tensor:
    return logits.contiguous().view(torch.uint8).flatten()


def _read_floats(message: Tensor, rows: int, classes: int) -> Tensor:
    logits = message.clone().view(torch.float32).view(rows, classes)
    if not torch.isfinite(logits).all():
        raise MessageError("the logits hold NaN or infinity: the node that sent them has diverged")
    return logits.softmax(1)


def _write_levels(logits: Tensor) -> Tensor:
    """Low and high of each row in fp16, then the levels; rows are centred first, which a softmax does not see."""
    centred = (logits.double() - logits.double().mean(1, keepdim=True)).clamp(-_HALF_MAX, _HALF_MAX)
    ends = torch.stack([centred.amin(1), centred.amax(1)], 1).half()
    low, span = _low_and_span(ends)
    levels = ((centred - low) / span * _LEVELS).nan_to_num(0).round().clamp(0, _LEVELS).long()
    return torch.cat([ends.view(torch.uint8).flatten(), _packed(levels, 4)])


def _read_levels(message: Tensor, rows: int, classes: int) -> Tensor:
    ends = message[: 4 * rows].clone().view(torch.float16).view(rows, 2)
    low, span = _low_and_span(ends)
    if not torch.isfinite(ends).all() or bool((span < 0).any()):
        raise MessageError("a row's low and high are no range: the message is damaged")
    levels = _unpacked(message[4 * rows :], rows * classes, 4).view(rows, classes)
    return (low + levels / _LEVELS * span).softmax(1).float()


def _low_and_span(ends: Tensor) -> tuple[Tensor, Tensor]:
    low, high = ends.double()[:, :1], ends.double()[:, 1:]
    return low, high - low


def _least_confidence(classes: int) -> int:
    """The lowest level that still leaves the label ahead of every other class."""
    return _LEVELS // classes + 1


def _write_confidence(logits: Tensor) -> Tensor:
    classes = logits.shape[1]
    labels = logits.argmax(1, keepdim=True)
    shares = logits.softmax(1).gather(1, labels)
    levels = (shares * _LEVELS).round().clamp_min(_least_confidence(classes)).long()
    return _packed(labels << 4 | levels, _label_bits(classes) + 4)


def _read_confidence(message: Tensor, rows: int, classes: int) -> Tensor:
    fields = _unpacked(message, rows, _label_bits(classes) + 4)
    labels, levels = (fields >> 4)[:, None], fields.bitwise_and(_LEVELS)[:, None]
    _check_labels(labels, classes)
    if int(levels.min()) < _least_confidence(classes):
        raise MessageError(
            f"a confidence of {int(levels.min())}/15 is below 1 in {classes}: the message is damaged or another codec's"
        )
    shares = levels / _LEVELS
    return ((1 - shares) / (classes - 1)).repeat(1, classes).scatter(1, labels, shares)


def _write_labels(logits: Tensor) -> Tensor:
    return _packed(logits.argmax(1), _label_bits(logits.shape[1]))


def _read_labels(message: Tensor, rows: int, classes: int) -> Tensor:
    labels = _unpacked(message, rows, _label_bits(classes))
    _check_labels(labels, classes)
    return functional.one_hot(labels, classes).float()


def _write_above_mean(values: Tensor, axis: int) -> Tensor:
    return _packed((values.double() > values.double().mean(axis, keepdim=True)).long(), 1)


def _read_bits(message: Tensor, rows: int, width: int) -> Tensor:
    return _unpacked(message, rows * width, 1).view(rows, width).float()


def _read_signs(message: Tensor, rows: int, classes: int) -> Tensor:
    """All classes above the mean alike; where none or all are, every class alike."""
    bits = _read_bits(message, rows, classes)
    bits = torch.where(bits.any(1, keepdim=True), bits, 1.0)
    return bits / bits.sum(1, keepdim=True)


def _cross_entropy(logits: Tensor, distributions: list[Tensor]) -> Tensor:
    return functional.cross_entropy(logits, torch.stack(distributions).mean(0))


def _dissimilarity(hidden: Tensor, peers: list[Tensor]) -> Tensor:
    mean = torch.stack([_similarities(bits) for bits in peers]).mean(0)
    return (_similarities(hidden) - mean).square().mean()


def _similarities(activity: Tensor) -> Tensor:
    """Row-normalised products between samples, of activity without each unit's mean.

    The mean is taken off since bits say what is above it. On digits the loss against a node's own bits is then 5 to 9 %
    of that against bits of other samples, for ReLU, tanh and logistic units; 36 to 75 % with the mean left in.
    """
    centred = activity - activity.mean(0)
    return functional.normalize(centred @ centred.T, dim=1)


_ALL: Final = (
    Codec(
        name="fp32",
        number=1,
        source="logits",
        summary="logits in 32 bits",
        length=lambda rows, classes: 4 * rows * classes,
        written=_write_floats,
        read=_read_floats,
        compared=_cross_entropy,
    ),
    Codec(
        name="4bit",
        number=2,
        source="logits",
        summary="logits in 16 levels between the lowest and the highest of a sample",
        length=lambda rows, classes: 4 * rows + _packed_bytes(4 * rows * classes),
        written=_write_levels,
        read=_read_levels,
        compared=_cross_entropy,
    ),
    Codec(
        name="confidence",
        number=3,
        source="logits",
        summary="the most likely class, and its probability in fifteenths",
        length=lambda rows, classes: _packed_bytes(rows * (_label_bits(classes) + 4)),
        written=_write_confidence,
        read=_read_confidence,
        compared=_cross_entropy,
    ),
    Codec(
        name="top1",
        number=4,
        source="logits",
        summary="the most likely class",
        length=lambda rows, classes: _packed_bytes(rows * _label_bits(classes)),
        written=_write_labels,
        read=_read_labels,
        compared=_cross_entropy,
    ),
    Codec(
        name="representation",
        number=5,
        source="hidden",
        summary="whether each hidden unit is above its own mean over the batch",
        length=lambda rows, units: _packed_bytes(rows * units),
        written=lambda hidden: _write_above_mean(hidden, axis=0),
        read=_read_bits,
        compared=_dissimilarity,
    ),
    Codec(
        name="sign",
        number=6,
        source="logits",
        summary="whether each class is above the sample's mean: the control that is known to fail",
        length=lambda rows, classes: _packed_bytes(rows * classes),
        written=lambda logits: _write_above_mean(logits, axis=1),
        read=_read_signs,
        compared=_cross_entropy,
    ),
)

CODECS: Final[Mapping[str, Codec]] = MappingProxyType({codec.name: codec for codec in _ALL})
DEFAULT: Final = "confidence"
