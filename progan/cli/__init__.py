"""The doors: click options to a config to one call."""
