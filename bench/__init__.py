"""What the speed figures of `docs/benchmarks.md` are measured with; not part of the package."""
