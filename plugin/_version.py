"""The version of pycni; the freeze step puts the one of pyproject.toml here."""

VERSION = "0.1.0+source"
