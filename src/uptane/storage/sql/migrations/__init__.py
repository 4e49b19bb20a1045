"""How the tables of older revisions become those of `schema.py`; record 24 says how to write a migration."""
