"""Judging two sides against each other: what is joined, what is comparable, what differs by more than its margin."""
