"""Settings of the networks."""

import dataclasses
from dataclasses import dataclass

from progan.option_fields import Section, option_field, validate_fields
from progan.sizes import LONGEST_BASE, Size, level_of, require_base, size_at_level


@dataclass(frozen=True, kw_only=True, slots=True)
class Network(Section):
    """Generator and discriminator; two runs with equal `Network` can exchange their weights."""

    # fmt: off
    kind: str = option_field("progressive", "Kind of networks.",
        choices=("progressive", "dcgan", "resnet", "autoencoder", "stacked-mnist"))
    resolution: int = option_field(1024,
        "Resolution that the networks grow to; the dataset's own if not given.", resolution=True)
    base_height: int = option_field(4, "Height of the images at level 2.", low=4, high=LONGEST_BASE,
        option=False)
    base_width: int = option_field(4, "Width of the images at level 2.", low=4, high=LONGEST_BASE,
        option=False)
    channels: int = option_field(3, "Colour channels of the images.", low=1, option=False)
    label_size: int = option_field(0, "Number of classes; 0: unconditional.", low=0, option=False)
    latent_size: int = option_field(512, "Length of the latent vector.", low=1, high=65536)
    fmap_base: int = option_field(8192,
        "Feature maps times half of the resolution, before the limit of --fmap-max.", low=1)
    fmap_decay: float = option_field(1.0, "How fast feature maps shrink with the resolution.",
        low=0, high=16)
    fmap_max: int = option_field(512, "Maximum number of feature maps of a layer.", low=1,
        high=65536)
    d_fmap_base: int = option_field(0, "Another --fmap-base for the discriminator; 0: the same.",
        low=0)
    kernel: int = option_field(4, "Size of the kernels that resample, of the kind dcgan.", low=2,
        high=9)
    output_kernel: int = option_field(0, "Size of the kernel of one more convolution before the "
        "image, of the kind dcgan; 0: without it.", low=0, high=9)
    code_size: int = option_field(64, "Length of the code of an autoencoder.", low=1, high=65536)
    energy: str = option_field("l1", "Difference between an image and its reconstruction by an "
        "autoencoder: mean absolute or mean squared.", choices=("l1", "l2"))
    equalized_lr: bool = option_field(True,
        "Scale weights at runtime by He's constant (section 4.1).")
    weight_stddev: float = option_field(0.0,
        "Standard deviation of initial weights; 0: He's constant, or 1 with --equalized-lr.", low=0)
    g_norm: str = option_field("pixel", "Normalisation in the generator (pixel: section 4.2).",
        choices=("pixel", "batch", "none"))
    d_norm: str = option_field("none", "Normalisation in the discriminator.",
        choices=("none", "batch", "layer"))
    g_activation: str = option_field("leaky-relu",
        "Activation in the generator; the leaky one has slope 0.2.",
        choices=("leaky-relu", "relu", "elu"))
    d_activation: str = option_field("leaky-relu", "Activation in the discriminator.",
        choices=("leaky-relu", "relu", "elu"))
    output: str = option_field("linear", "Activation of the images; sigmoid is scaled to -1…1.",
        choices=("linear", "tanh", "sigmoid"))
    normalize_latents: bool = option_field(True, "Project latents to the hypersphere.")
    stddev_group: int = option_field(4,
        "Group size of the minibatch standard deviation (section 3); 0: without it.", low=0)
    minibatch_kernels: int = option_field(0,
        "Kernels of minibatch discrimination (Salimans et al. 2016); 0: without it.", low=0,
        high=65536)
    dropout: float = option_field(0.0,
        "Dropout rate before the last layer of the discriminator.",
        low=0, high=0.99)
    fused_scaling: bool = option_field(True,
        "Resample inside of the convolutions: 2.25 times fewer multiplications.")
    pixel_bias: bool = option_field(False, "One bias for each pixel of the first layer of the "
        "generator instead of one for each feature map, as pytorch_GAN_zoo has it; of the kind "
        "progressive.", option=False)
    # fmt: on

    def __post_init__(self) -> None:
        validate_fields(self)
        require_base(self.base)

    @property
    def max_level(self) -> int:
        return level_of(self.resolution)

    @property
    def base(self) -> Size:
        return Size(self.base_height, self.base_width)

    def size(self, level: int) -> Size:
        """Return the size of the images at a level."""
        return size_at_level(self.base, level)

    @property
    def grows(self) -> bool:
        """True if the networks work at all levels, False if at the last one alone."""
        return self.kind in ("progressive", "stacked-mnist")

    @property
    def discriminator_config(self) -> "Network":
        """Return the config with `fmap_base` replaced by that of the discriminator."""
        return dataclasses.replace(self, fmap_base=self.d_fmap_base or self.fmap_base)

    def feature_maps(self, level: int) -> int:
        """Return the feature maps of the layers at `level` (official code: nf(level - 1))."""
        maps = int(self.fmap_base / 2.0 ** ((level - 1) * self.fmap_decay))
        return max(min(maps, self.fmap_max), 1)
