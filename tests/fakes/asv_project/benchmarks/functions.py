"""State of a module: there is one of it, so what setup costs can only be taken off."""

import time

left = []


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def setup():
    left.append(1)


def time_take():
    left.pop()
    burn(0.01)


time_take.number = 1
