"""The names of the metrics, known without importing torch."""

DESCRIPTIONS = {
    "swd": "sliced Wasserstein distance of patches x1e3, per pyramid level (section 5)",
    "ms-ssim": "how alike pairs of images are: 1 means that all look the same (section 5)",
    "fid": "Fréchet distance of Inception features",
    "kid": "kernel distance of Inception features x1e3, without bias",
    "kid75": "the same of images of 75x75, batch by batch: fast",
    "is": "Inception score",
    "pr": "precision and recall of Inception features",
}
DEFAULT = ("swd", "ms-ssim")  # they need nothing but images
