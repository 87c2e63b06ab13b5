"""Names of the metrics and their columns, without importing torch."""

import re

from progan.errors import UserError

DESCRIPTIONS = {
    "swd": "sliced Wasserstein distance of patches x1e3, per pyramid level (section 5)",
    "ms-ssim": "similarity of pairs of images: 1 means that all are equal (section 5)",
    "fid": "Fréchet distance of Inception features",
    "kid": "unbiased kernel distance of Inception features x1e3",
    "kid75": "KID of images of 75x75, batch by batch: fast",
    "is": "Inception score",
    "pr": "precision and recall of Inception features",
    "discrete-modes": "modes of 1000 that images of MNIST-RGB show, and KL from uniform",
}
LOWER_IS_BETTER = {  # the column that ranks networks
    "swd": "SWDx1e3_avg",
    "fid": "FID",
    "kid": "KIDx1e3",
    "kid75": "KID75x1e3",
    "discrete-modes": "KL",
}
GOALS = {  # best value of a column; a key is its name up to '_'
    "SWDx1e3": "least",
    "MS-SSIM": "reals",
    "FID": "least",
    "KIDx1e3": "least",
    "KID75x1e3": "least",
    "IS": "most",
    "precision": "most",
    "recall": "most",
    "modes": "most",
    "KL": "least",
    "speed/images-per-second": "most",
}
DEFAULT = ("swd", "ms-ssim")  # need no detector


def parse_metrics(text: str) -> dict[str, tuple[str, int | None]]:
    """Parse 'swd16k,ms-ssim' -> {'swd16k': ('swd', 16384), 'ms-ssim': ('ms-ssim', None)}.

    k is 1024 after a power of two, as in the official 'swd-16k', and else 1000, as in 'fid50k'.
    Raises UserError for anything else.
    """
    names, metrics = "|".join(sorted(DESCRIPTIONS, reverse=True)), {}
    for word in filter(None, text.replace(" ", "").replace("_", "-").split(",")):
        match = re.fullmatch(rf"({names})(?:-?(\d+)(k?))?", word)
        if not match:
            raise UserError(
                f"--metrics: no such metric: {word!r}. Choose from "
                f"{', '.join(DESCRIPTIONS)}, optionally with a number of images: "
                "swd16k,ms-ssim."
            )
        number = int(match[2]) if match[2] else None
        if number is not None and match[3]:
            number *= 1000 if number & (number - 1) else 1024
        metrics[word] = match[1], number
    return metrics
