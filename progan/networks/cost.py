"""What the networks cost, counted from their config."""

from progan.config import MIN_LEVEL, Network


def multiply_adds(config: Network, level: int) -> int:
    """Multiplications per image of one pass through generator and discriminator at `level`.

    Convolutions and dense layers only. The resampling convolution of a block takes 9 taps per
    pixel of the larger side, or 16 per pixel of the smaller side when it is fused.
    """
    f = config.feature_maps
    first, hidden = f(MIN_LEVEL), f(MIN_LEVEL - 1)
    base = config.base.pixels
    inputs = config.latent_size + config.label_size
    total: int = first * base * (inputs + hidden) + 2 * 9 * first * first * base
    for grown in range(MIN_LEVEL + 1, level + 1):
        pixels = config.size(grown).pixels
        resampling = (4 if config.fused_scaling else 9) * f(grown) * f(grown - 1)
        total += 2 * pixels * (9 * f(grown) ** 2 + resampling)
    rgb: int = 2 * config.size(level).pixels * f(level) * config.channels
    return total + rgb
