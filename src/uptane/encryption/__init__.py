"""Images that only their ECU can read: keys for it, the cipher of the image, and the wrapping of its key."""
