"""The names of the metrics, known without importing torch."""

import re

from progan.errors import UserError

DESCRIPTIONS = {
    "swd": "sliced Wasserstein distance of patches x1e3, per pyramid level (section 5)",
    "ms-ssim": "how alike pairs of images are: 1 means that all look the same (section 5)",
    "fid": "Fréchet distance of Inception features",
    "kid": "kernel distance of Inception features x1e3, without bias",
    "kid75": "the same of images of 75x75, batch by batch: fast",
    "is": "Inception score",
    "pr": "precision and recall of Inception features",
    "discrete-modes": "modes of 1000 that images of MNIST-RGB show, and KL from uniform",
}
LOWER_IS_BETTER = {  # the column that tells the best of several networks
    "swd": "SWDx1e3_avg",
    "fid": "FID",
    "kid": "KIDx1e3",
    "kid75": "KID75x1e3",
    "discrete-modes": "KL",
}
GOALS = {  # which value of a column is best; columns go by their names up to '_'
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
DEFAULT = ("swd", "ms-ssim")  # they need nothing but images


def parse_metrics(text: str) -> dict[str, tuple[str, int | None]]:
    """'swd16k,ms-ssim' -> {'swd16k': ('swd', 16384), 'ms-ssim': ('ms-ssim', None)}.

    k is 1024 after a power of two, as in the official 'swd-16k', and else 1000, as in 'fid50k'.
    Raises UserError for anything else.
    """
    names, wishes = "|".join(sorted(DESCRIPTIONS, reverse=True)), {}
    for word in filter(None, text.replace(" ", "").replace("_", "-").split(",")):
        match = re.fullmatch(rf"({names})(?:-?(\d+)(k?))?", word)
        if not match:
            raise UserError(
                f"--metrics: there is no metric {word!r}. Name some of "
                f"{', '.join(DESCRIPTIONS)}, perhaps with a number of images: "
                "swd16k,ms-ssim."
            )
        number = int(match[2]) if match[2] else None
        if number is not None and match[3]:
            number *= 1000 if number & (number - 1) else 1024
        wishes[word] = match[1], number
    return wishes
