"""The Standard's procedures: when metadata, images, reports and times may be trusted."""
