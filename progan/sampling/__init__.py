"""From network files and seeds to pictures."""
