"""`make load`: what the Director costs a fleet, on PostgreSQL, over HTTPS with client certificates."""
