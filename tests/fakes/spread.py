"""A workload in many processes whose nodes do what a test asks for: answer, wait, fail, hang, or end."""

import os
import signal
import time
from pathlib import Path


class Node:
    payload_bytes = 100
    model_bytes = 200
    store_bytes = 0
    communication_cpu_seconds = 0.0

    def __init__(self, config, seat):
        self.seat, self.calls = seat, 0
        if config.get("refuses") == seat.place.rank:
            raise ValueError(f"{config['refuses']} is no number for a node")

    def place(self):
        self.calls += 1
        return {"rank": self.seat.place.rank, "epoch": self.seat.epoch, "pid": os.getpid(), "calls": self.calls}

    def wait_for(self, path):
        """Until there is such a file: a call that others can be killed in the middle of."""
        Path(f"{path}.{self.seat.place.rank}").touch()
        while not Path(path).exists():
            time.sleep(0.01)
        return self.place()

    def fail(self, rank, line):
        """One's own error on that rank, and what its peers would say of it on the others."""
        if self.seat.place.rank == rank:
            raise ValueError(line)
        raise RuntimeError("gloo: Connection closed by peer")

    def end(self, rank, signal_number, once):
        """Send oneself a signal on that rank; only where the file is not there yet."""
        if self.seat.place.rank == rank and not Path(once).exists():
            Path(once).touch()
            os.kill(os.getpid(), signal_number)
            signal.pause()
        return self.place()

    def close(self):
        pass


class Spread:
    name, version, summary, parameters = "spread", 1, "A fake that many processes run", {}

    def prepare(self, parameters, *, seed, quick):
        raise NotImplementedError

    def node(self, config, seat):
        return Node(config, seat)


workload = Spread()
