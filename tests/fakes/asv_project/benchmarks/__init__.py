"""A suite with everything that suites do to whoever runs them."""
