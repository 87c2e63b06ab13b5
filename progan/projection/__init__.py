"""The latents of given pictures."""
