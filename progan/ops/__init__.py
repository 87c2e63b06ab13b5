"""Stateless tensor functions that know nothing of GANs."""
