"""Foreign runtimes and suites pointed at the static file; needs root."""
