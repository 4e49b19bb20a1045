"""The command `uptane`."""
