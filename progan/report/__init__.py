"""Render a run as one HTML file, from the files that training and metrics wrote."""
