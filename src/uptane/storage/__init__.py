"""Adapters that keep things: SQL, folders, key files, ECU state."""
