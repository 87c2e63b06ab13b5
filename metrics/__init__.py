"""Metrics of generated images (section 5 of the paper, and later ones)."""
