"""Adapters that fetch and call: HTTP and XML-RPC clients with limits."""
