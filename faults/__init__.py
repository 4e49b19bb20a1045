"""`make faults`: production servers under load, with everything that they stand on failing in turn."""
