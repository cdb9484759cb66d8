"""What hangs, crashes, floods, and leaves processes behind."""

import os
import subprocess
import sys
import time
from pathlib import Path


class Sleeps:
    timeout = 0.5

    def time_sleep(self):
        time.sleep(600)


class Aborts:
    def time_abort(self):
        os.abort()


class Exits:
    def time_exit(self):
        sys.exit("enough")

    def time_leave(self):
        os._exit(3)


class Floods:
    def time_print(self):
        print("x" * 100_000)
        sys.stderr.write("y" * 100_000)
        os.write(1, b'{"done": {"status": "ok"}}\n')


class Reads:
    def time_input(self):
        assert not sys.stdin.read()


class Leaves:
    """A process in a session of its own, that nobody would find again."""

    def time_leave(self):
        if not Path(os.environ["LEFT"]).exists():
            left = subprocess.Popen(["sleep", "600"], start_new_session=True)
            Path(os.environ["LEFT"]).write_text(str(left.pid))
        sum(range(10_000))


class Fails:
    def time_fail(self):
        raise RuntimeError("this one\nis broken")


class Unmade:
    def __init__(self):
        raise TypeError("cannot be made")

    def time_it(self):
        pass


def timeraw_code():
    return "sum(range(100_000))", "import json"


def timeraw_broken():
    return "1 / 0"
