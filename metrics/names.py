"""The names of the metrics and a line on each: what the command line and its help offer."""

DESCRIPTIONS = {
    "swd": "Sliced Wasserstein distance of patches; 0 is best.",
    "ms-ssim": "Likeness of pairs; above the reals' own: too little variety.",
}
