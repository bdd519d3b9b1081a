"""Pages that a browser on this machine shows: the labelling page."""
