"""The one place that picks concrete classes and connects them."""
