"""The Image repository: every image its suppliers signed, and who may sign what."""
