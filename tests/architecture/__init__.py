"""The rules that the repository keeps about itself, as tests; see CONTRIBUTING.md."""
