"""Is a training well? Pure functions: numbers of stats.jsonl in, a verdict with evidence out."""
