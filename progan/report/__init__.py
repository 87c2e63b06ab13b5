"""One HTML file that shows a run: reads what training and metrics left in its directory."""
