"""The ECUs: a Primary, and Secondaries with full verification."""
