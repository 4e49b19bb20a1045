"""Doors for machines: HTTP applications and the XML-RPC door."""
