"""A class in a package, and a function with parameters."""

import time


def burn(seconds):
    """Use processor time, however busy the machine is."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class Work:
    """Twice the processor time at twice the parameter; it has its setup counted."""

    params = ([1, 2], ["warm", None])
    param_names = ("times", "kind")

    def setup(self, times, kind):
        self.seconds = 0.004 * times

    def time_burn(self, times, kind):
        burn(self.seconds)


def time_of_a_function(seconds):
    burn(seconds)


time_of_a_function.params = [0.002]
