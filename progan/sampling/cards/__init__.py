"""Model cards: what a network file is, beside it, in the Markdown that model hubs read."""
