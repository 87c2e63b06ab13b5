"""Training diagnostics. Pure functions: numbers of stats.jsonl in, a status with evidence out."""
