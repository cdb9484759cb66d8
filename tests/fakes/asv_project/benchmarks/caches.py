"""What setup_cache leaves, and what it costs those that it fails."""

from pathlib import Path


class Shared:
    """Two benchmarks of one cache, which is made once."""

    def setup_cache(self):
        Path("made").write_text(Path("made").read_text() + "x" if Path("made").exists() else "x")
        return {"answer": 42}

    def setup(self, cache):
        assert cache["answer"] == 42
        assert Path("made").read_text() == "x"
        self.open = True

    def teardown(self, cache):
        self.open = False

    def time_first(self, cache):
        assert self.open
        sum(range(1000))

    def time_second(self, cache):
        assert cache == {"answer": 42}
        sum(range(1000))


class Failing:
    def setup_cache(self):
        raise OSError("no data here")

    def time_lost(self, cache):
        pass
