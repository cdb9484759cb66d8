"""What is left out, each in another way."""

from asv_runner.benchmarks.mark import SkipNotImplemented


class Here:
    def setup(self):
        raise NotImplementedError("not on this machine")

    def time_it(self):
        pass


class Params:
    params = (1, 2)

    def time_it(self, n):
        sum(range(1000))


Params.time_it.skip_params = [(2,)]


class Body:
    def time_it(self):
        raise SkipNotImplemented("found out late")


def track_something():
    return 1
