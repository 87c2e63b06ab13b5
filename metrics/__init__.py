"""Numbers for how good pictures are: the metrics of the paper (section 5)."""
