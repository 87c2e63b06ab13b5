"""A page to explore what a network draws: served on this machine, for this machine."""
