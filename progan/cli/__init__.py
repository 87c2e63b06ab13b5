"""Click commands: options -> config -> one call."""
