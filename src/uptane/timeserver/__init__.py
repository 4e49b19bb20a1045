"""The Timeserver: signed attestations of the time over the ECUs' nonces."""
