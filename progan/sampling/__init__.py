"""Generate images and videos from network files and seeds."""
