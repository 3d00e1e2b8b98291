"""Tests in an emulated machine, for what the running kernel lacks or cannot show."""
