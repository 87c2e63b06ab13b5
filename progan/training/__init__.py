"""Training: one state, pure steps on it, a loop that reads as a paragraph, and hooks."""
