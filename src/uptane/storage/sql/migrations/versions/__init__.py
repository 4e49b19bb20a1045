"""One migration for each revision, numbered without gaps; none is changed once it has been released."""
