"""Datasets: the layout on disk, its writer and reader, the loader, and the importers."""
