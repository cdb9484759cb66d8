"""A package in a suite."""
