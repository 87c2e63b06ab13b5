"""progan: progressive growing of GANs, from a folder of images to megapixel pictures."""

__version__ = "0.1.0"
