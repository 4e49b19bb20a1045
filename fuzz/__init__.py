"""Hostile bytes for every decoder: `make fuzz`, and targets for a coverage-guided fuzzer."""
