"""What goes into a generator and what comes out, in words for files that travel alone."""

import json
from collections.abc import Sequence

from progan import __version__
from progan.config import Network

SOFTWARE = f"progan {__version__}"


def conventions(network: Network, level: int, label_names: Sequence[str],
                untrained: Sequence[int] = ()) -> dict[str, str]:
    """Shapes, ranges and the meaning of seeds, of a generator that draws at `level`."""
    size = network.size(level)
    words = {
        "latents": f"float32 [N, {network.latent_size}] from a standard normal distribution; seed "
                   f"k is numpy.random.RandomState(k).randn(1, {network.latent_size})",
        "images": f"float32 [N, {network.channels}, {size.height}, {size.width}], -1 is black and "
                  "1 is white; as uint8: 127.5 x + 127.5, rounded, limited to 0...255"}
    if network.label_size:
        words["labels"] = (f"float32 [N, {network.label_size}], one-hot; without a wish seed k "
                           f"shows class k mod {network.label_size}")
        if untrained:
            shown = network.label_size - len(untrained)
            words["labels"] = (
                f"float32 [N, {network.label_size}], one-hot; no training image had the classes "
                f"{', '.join(map(str, untrained))}; without a wish seed k shows the one at place "
                f"k mod {shown}, from 0, among the others")
        words["classes"] = json.dumps(list(label_names))
    return words
