"""A call that makes the next setup cheaper: less setups alone, it costs less than nothing."""

import time

left = []


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def setup():
    burn(0.01 if left else 0.002)
    left.append(1)


def time_nothing():
    left.clear()


time_nothing.number = 1
