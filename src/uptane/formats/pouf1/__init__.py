"""The formats of the archived reference implementation, `pouf1` and `pouf1-json`."""
