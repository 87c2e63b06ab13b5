"""A local web page to explore what a network generates."""
