"""Wire formats: bytes to values and back, strictly."""
