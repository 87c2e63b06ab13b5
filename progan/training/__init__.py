"""Training: the state, the steps that update it in place, the loop, and its hooks."""
