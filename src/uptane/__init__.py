"""Uptane: software updates for cars that stay safe when servers or keys are stolen."""

__version__ = "0.1.0"
