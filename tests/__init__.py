"""All tests and the benchmark, one folder for each kind of place that they need."""
