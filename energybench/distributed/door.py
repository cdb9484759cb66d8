"""The leader's door: whoever connects is heard without being waited for, and comes in or goes by what it says."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from energybench.distributed.channel import LONGEST, Channel, ChannelError, Listener

PATIENCE: Final = 5.0
"""Seconds that somebody may stand at the door without a word."""
MOST: Final = 64
"""How many may stand there at once; the first of more has to go."""
HELLO_BYTES: Final = 1 << 16


class Door:
    """Those who have connected and have not said yet who they are.

    Args:
        listener: where they connect to.
        refusal: of what one says, why it may not come in; None where it may.
    """

    def __init__(self, listener: Listener, refusal: Callable[[Mapping[str, Any]], str | None]) -> None:
        self._listener, self._refusal = listener, refusal
        self._visitors: dict[Channel, float] = {}

    @property
    def watched(self) -> list[Listener | Channel]:
        """For `select`: the listener and who stands there."""
        return [self._listener, *self._visitors]

    def look(self, ready: Sequence[object]) -> list[tuple[Channel, Mapping[str, Any]]]:
        """Those who may come in, with what they said; who may not is told why, and who says nothing has to go.

        Args:
            ready: of `watched`, what `select` gave.
        """
        speaking = [one for one in self._visitors if one in ready]
        heard = [(channel, self._heard(channel)) for channel in speaking]
        if self._listener in ready:
            self._open()
        patient = time.monotonic() - PATIENCE
        for channel in [one for one, since in self._visitors.items() if since < patient]:
            self._send_away(channel, "it said nothing")
        return [(channel, hello) for channel, hello in heard if hello is not None]

    def close(self) -> None:
        """Nobody comes in any more."""
        self._listener.close()
        for channel in list(self._visitors):
            self._send_away(channel, "the run is over")

    def _open(self) -> None:
        with suppress(OSError):  # it has gone again
            channel = self._listener.accept()
            channel.longest = HELLO_BYTES
            self._visitors[channel] = time.monotonic()
        if len(self._visitors) > MOST:
            self._send_away(next(iter(self._visitors)), "too many are at the door")

    def _heard(self, channel: Channel) -> Mapping[str, Any] | None:
        """What one said that lets it in; None where it has said too little, or has gone."""
        try:
            hello = channel.receive(0.0)
        except ChannelError:
            self._send_away(channel)
            return None
        if hello is None:
            return None
        if refusal := self._refusal(hello):
            self._send_away(channel, refusal)
            return None
        del self._visitors[channel]
        channel.longest = LONGEST
        return hello

    def _send_away(self, channel: Channel, reason: str = "") -> None:
        del self._visitors[channel]
        with suppress(ChannelError):
            if reason:
                channel.send({"refused": reason})
        channel.close()
