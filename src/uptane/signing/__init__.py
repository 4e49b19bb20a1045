"""Building and signing role metadata."""
