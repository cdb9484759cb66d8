"""Benchmarks that a second call finds changed."""

import time


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class OnceOnly:
    """Counted calls, of which each needs a setup."""

    number = 1
    repeat = 3

    def setup(self):
        self.left = [1]

    def teardown(self):
        assert not self.left

    def time_take(self):
        self.left.pop()
        burn(0.003)


class SecondRaises:
    """asv is to choose how often it is called, and a second call raises."""

    def setup(self):
        self.left = [1]

    def time_take(self):
        self.left.pop()
        burn(0.003)


class Sorted:
    """The first call does the work, and the others find it done."""

    def setup(self):
        self.done = False

    def time_sort(self):
        if not self.done:
            burn(0.005)
        self.done = True


class Long:
    """A call that lasts longer than a window."""

    number = 1

    def setup(self):
        self.seconds = 0.15

    def time_long(self):
        burn(self.seconds)
