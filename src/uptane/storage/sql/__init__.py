"""The Director's inventory in an SQL database."""
