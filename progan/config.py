"""Every setting of a run, as frozen dataclasses that are valid from birth.

A run is one value, `Run`. It is saved as JSON beside every result, and the command line, its
help and the presets all derive from the fields below: a default, a range or a description is
written here and nowhere else.
"""

import dataclasses
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from progan.errors import UserError
from progan.settings import (
    FloatAt,
    IntAt,
    changes,
    listed,
    require_known,
    section_from_dict,
    setting,
    settings,
    validate,
)
from progan.sizes import LONGEST_BASE, MAX_LEVEL, MIN_LEVEL, Size, level_of, require_base, size_at

AUTOENCODERS_ONLY = ("ebgan", "began")  # objectives

AUGMENT_KINDS = ("flip", "translate", "zoom", "stretch", "rotate", "shift", "color")


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Generator and discriminator; two runs with equal `Network` can exchange their weights."""

    kind: str = setting(
        "progressive",
        "Kind of networks.",
        choices=("progressive", "dcgan", "resnet", "autoencoder", "stacked-mnist"),
    )
    resolution: int = setting(
        1024,
        "Resolution that the networks grow to; the dataset's own if not given.",
        resolution=True,
    )
    base_height: int = setting(
        4, "Height of the images at level 2.", low=4, high=LONGEST_BASE, option=False
    )
    base_width: int = setting(
        4, "Width of the images at level 2.", low=4, high=LONGEST_BASE, option=False
    )
    channels: int = setting(3, "Colour channels of the images.", low=1, option=False)
    label_size: int = setting(0, "Number of classes; 0: unconditional.", low=0, option=False)
    latent_size: int = setting(512, "Length of the latent vector.", low=1, high=65536)
    fmap_base: int = setting(
        8192, "Feature maps times resolution, before the limit of --fmap-max.", low=1
    )
    fmap_decay: float = setting(
        1.0, "How fast feature maps shrink with the resolution.", low=0, high=16
    )
    fmap_max: int = setting(512, "Most feature maps of any layer.", low=1, high=65536)
    d_fmap_base: int = setting(0, "Another --fmap-base for the discriminator; 0: the same.", low=0)
    kernel: int = setting(4, "Size of the kernels that resample, of the kind dcgan.", low=2, high=9)
    output_kernel: int = setting(
        0,
        "Size of the kernel of one more convolution before the image, "
        "of the kind dcgan; 0: without it.",
        low=0,
        high=9,
    )
    code_size: int = setting(64, "Length of the code of an autoencoder.", low=1, high=65536)
    energy: str = setting(
        "l1",
        "How an autoencoder's reconstruction is compared with the image: "
        "mean absolute or mean squared difference.",
        choices=("l1", "l2"),
    )
    equalized_lr: bool = setting(True, "Scale weights at runtime by He's constant (section 4.1).")
    weight_stddev: float = setting(
        0.0,
        "Standard deviation of initial weights; 0: He's constant, or 1 with --equalized-lr.",
        low=0,
    )
    g_norm: str = setting(
        "pixel",
        "Normalisation in the generator (pixel: section 4.2).",
        choices=("pixel", "batch", "none"),
    )
    d_norm: str = setting(
        "none", "Normalisation in the discriminator.", choices=("none", "batch", "layer")
    )
    g_activation: str = setting(
        "leaky-relu",
        "Activation in the generator; the leaky one has slope 0.2.",
        choices=("leaky-relu", "relu", "elu"),
    )
    d_activation: str = setting(
        "leaky-relu", "Activation in the discriminator.", choices=("leaky-relu", "relu", "elu")
    )
    output: str = setting(
        "linear",
        "What makes the colours; sigmoid is scaled to -1…1.",
        choices=("linear", "tanh", "sigmoid"),
    )
    normalize_latents: bool = setting(True, "Project latents to the hypersphere.")
    stddev_group: int = setting(
        4, "Group size of the minibatch standard deviation (section 3); 0: without it.", low=0
    )
    minibatch_kernels: int = setting(
        0,
        "Kernels of minibatch discrimination (Salimans et al. 2016); 0: without it.",
        low=0,
        high=65536,
    )
    dropout: float = setting(
        0.0,
        "Part of the features that the last layer of the discriminator misses while training.",
        low=0,
        high=0.99,
    )
    fused_scaling: bool = setting(
        True, "Resample inside of the convolutions: 2.25 times fewer multiplications."
    )
    pixel_bias: bool = setting(
        False,
        "One bias for each pixel of the first layer of the "
        "generator instead of one for each feature map, as "
        "pytorch_GAN_zoo has it; of the kind progressive.",
        option=False,
    )

    def __post_init__(self) -> None:
        validate(self)
        require_base(self.base)

    @property
    def max_level(self) -> int:
        return level_of(self.resolution)

    @property
    def base(self) -> Size:
        return Size(self.base_height, self.base_width)

    def size(self, level: int) -> Size:
        """Size of the images at a level."""
        return size_at(self.base, level)

    @property
    def grows(self) -> bool:
        """Whether the networks work at all levels, or at the last one alone."""
        return self.kind in ("progressive", "stacked-mnist")

    @property
    def discriminator_width(self) -> "Network":
        """The same with the width of the discriminator, where it is another one."""
        return dataclasses.replace(self, fmap_base=self.d_fmap_base or self.fmap_base)

    def feature_maps(self, level: int) -> int:
        """Feature maps of the layers at `level` (official code: nf(level - 1))."""
        maps = int(self.fmap_base / 2.0 ** ((level - 1) * self.fmap_decay))
        return max(min(maps, self.fmap_max), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """When the networks grow, and what batch size and learning rates hold meanwhile."""

    total_kimg: float = setting(
        12000.0, "Thousands of real images to show in all.", low=0.001, high=1e9
    )
    initial_resolution: int = setting(4, "Resolution to start at.", resolution=True)
    training_kimg: float = setting(
        600.0, "Thousands of images to train each resolution for, once faded in.", low=0, high=1e7
    )
    transition_kimg: float = setting(
        600.0, "Thousands of images for each fade-in.", low=0, high=1e7
    )
    fade_first: bool = setting(
        False, "Begin with the fade-in of the next resolution: the initial one was trained before."
    )
    batch: int = setting(4, "Images per step.", low=1, high=65536)
    batch_at: IntAt = setting(
        (), "Other batch sizes at some resolutions, e.g. 4:128,8:64.", low=1, high=65536
    )
    g_lr: float = setting(0.001, "Learning rate of the generator.", low=0)
    g_lr_at: FloatAt = setting(
        (), "Other generator rates at some resolutions, e.g. 512:0.002.", low=0
    )
    d_lr: float = setting(0.001, "Learning rate of the discriminator.", low=0)
    d_lr_at: FloatAt = setting((), "Other discriminator rates at some resolutions.", low=0)
    lr_decay: float = setting(
        0.0, "Learning rates are divided by 1 + this times the thousands of images shown.", low=0
    )
    tick_kimg: float = setting(160.0, "Thousands of images between two status lines.", low=0.001)
    tick_kimg_at: FloatAt = setting(
        (
            (4, 160),
            (8, 140),
            (16, 120),
            (32, 100),
            (64, 80),
            (128, 60),
            (256, 40),
            (512, 20),
            (1024, 10),
        ),
        "Other tick lengths at some resolutions.",
        low=0.001,
    )
    minibatch_repeats: int = setting(
        4, "Iterations that share one evaluation of the schedule.", low=1
    )
    d_repeats: int = setting(1, "Discriminator steps per generator step.", low=1)

    def __post_init__(self) -> None:
        validate(self)
        if self.training_kimg + self.transition_kimg == 0:
            raise UserError(
                "--training-kimg and --transition-kimg cannot both be 0: "
                "give at least one of them a positive length."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """What generator and discriminator are asked for."""

    objective: str = setting(
        "wgan-gp",
        "Loss functions.",
        choices=(
            "wgan-gp",
            "wgan",
            "gan",
            "lsgan",
            "dragan",
            "ebgan",
            "began",
            "r1",
            "relativistic",
        ),
    )
    gp_weight: float = setting(10.0, "Weight of the gradient penalty (lambda; gamma of R1).", low=0)
    gp_target: float = setting(
        1.0, "Gradient norm that the penalty of wgan-gp and dragan asks for.", low=1e-9
    )
    gp_resolution: str = setting(
        "final",
        "Resolution of the images that wgan-gp takes the "
        "gradient with respect to: the final one at every level, as the "
        "official code (norms are 2^k times smaller k levels below it), "
        "or the one being trained.",
        choices=("final", "trained"),
    )
    drift: float = setting(
        0.001,
        "Weight of the squared real scores that keeps those of wgan-gp "
        "and wgan from drifting away.",
        low=0,
    )
    label_weight: float = setting(1.0, "Weight of the AC-GAN label loss.", low=0)
    label_smoothing: float = setting(
        0.0, "How much less than 1 the target of reals is, of gan.", low=0, high=0.5
    )
    label_noise: float = setting(
        0.0,
        "Up to how much the targets of gan are moved away from right, at random.",
        low=0,
        high=0.5,
    )
    margin: float = setting(1.0, "Energy of fakes that ebgan asks for.", low=0)
    pulling_away: float = setting(0.1, "Weight of ebgan's pulling-away term.", low=0)
    diversity: float = setting(
        0.5, "Ratio of the energies of fakes and reals that began keeps (gamma).", low=0, high=1
    )
    balance_rate: float = setting(
        0.001, "How fast began's k moves to keep it (lambda).", low=0, high=1
    )
    fake_weight: float = setting(
        1.0,
        "Weight of the fakes in lsgan's loss of the discriminator (the paper's networks: 0.1).",
        low=0,
    )
    adaptive_noise: bool = setting(
        False,
        "Disturb the discriminator's features when it tells "
        "fakes too easily (appendix B, for lsgan).",
    )
    separate_updates: bool = setting(
        False, "Update the discriminator with reals and then with fakes, instead of with both."
    )
    mixed_batches: bool = setting(
        False,
        "Show reals and fakes to the discriminator in one batch "
        "(which batch normalisation notices).",
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.separate_updates and (self.mixed_batches or self.objective == "relativistic"):
            raise UserError(
                "--separate-updates takes reals and fakes apart, which "
                "--mixed-batches and --objective relativistic put together."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Augment:
    """Augmentation of all that the discriminator sees (Karras et al. 2020, StyleGAN2-ADA).

    Defaults are those of Keras' example of adaptive discriminator augmentation.
    """

    augment: str = setting(
        "none",
        "Augment what the discriminator sees, with a fixed probability "
        "or one that follows its accuracy; for small datasets.",
        choices=("none", "fixed", "adaptive"),
    )
    augment_p: float = setting(
        0.0,
        "Probability of each augmentation: the fixed one, or the one "
        "to start from. From about 0.8 on, generated images look augmented "
        "themselves.",
        low=0,
        high=1,
    )
    augment_kinds: str = setting(
        "flip,translate,zoom,rotate",
        f"Augmentations: some of {','.join(AUGMENT_KINDS)}.",
        choices=AUGMENT_KINDS,
        several=True,
    )
    augment_together: bool = setting(
        False, "Apply all of the augmentations to an image or none, instead of each for itself."
    )
    augment_translate: float = setting(
        0.125,
        "Farthest translation (whole pixels) and shift (fractions of them), per side length.",
        low=0,
        high=1,
    )
    augment_zoom: float = setting(0.25, "Strongest zoom: in and out by 1 + this.", low=0, high=3)
    augment_stretch: float = setting(
        0.25, "Strongest stretch: wider and lower, or the other way, by 1 + this.", low=0, high=3
    )
    augment_rotate: float = setting(
        0.125, "Largest rotation either way, in turns.", low=0, high=0.5
    )
    augment_color: float = setting(
        1.0, "Strength of the colour changes; 1: as in StyleGAN2-ADA.", low=0, high=1
    )
    augment_accuracy: float = setting(
        0.85,
        "Accuracy of the discriminator on real images that an "
        "adaptive probability keeps. StyleGAN2-ADA's r_t is 2 x "
        "accuracy - 1: its 0.6 is an accuracy of 0.8.",
        low=0,
        high=1,
    )
    augment_control: str = setting(
        "proportional",
        "An adaptive probability moves in proportion to "
        "the error of the accuracy (Keras) or at a constant speed "
        "(StyleGAN2-ADA).",
        choices=("proportional", "constant"),
    )
    augment_steps: int = setting(
        1000,
        "Steps in which an error of 100 % (any error, at constant "
        "speed) moves an adaptive probability by 1.",
        low=1,
    )

    def __post_init__(self) -> None:
        validate(self)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(listed(self.augment_kinds))


@dataclass(frozen=True, kw_only=True, slots=True)
class Optim:
    """The optimizers and the moving average of the generator."""

    optimizer: str = setting("adam", "Algorithm.", choices=("adam", "rmsprop"))
    beta1: float = setting(0.0, "Adam's first decay rate.", low=0, high=0.9999)
    beta2: float = setting(
        0.99, "Adam's second decay rate, or RMSProp's only one.", low=0, high=0.99999
    )
    epsilon: float = setting(1e-8, "Adam's or RMSProp's epsilon.", low=1e-30)
    clip_gradients: float = setting(
        0.0, "Clip each element of a gradient to this; 0: do not.", low=0
    )
    clip_weights: float = setting(
        0.0, "Clip each weight of the critic to this after its steps (wgan); 0: do not.", low=0
    )
    ema_decay: float = setting(
        0.999,
        "Decay per iteration of the averaged generator, the one that makes the pictures.",
        low=0,
        high=0.9999999,
    )
    reset_optimizers: bool = setting(
        True, "Reset the optimizers at the start and at the end of each fade."
    )
    freeze_d: int = setting(
        0,
        "How many resolutions of the discriminator, from the highest one "
        "down, keep the weights that they began with (FreezeD, Mo et al. "
        "2020).",
        low=0,
        high=MAX_LEVEL - MIN_LEVEL,
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """What happens when a training leaves the numbers."""

    rollbacks: int = setting(
        3,
        "How often a run may go back to its last good state, and on in "
        "another order of the data, when a number is not finite or explodes; "
        "then it stops.",
        low=0,
    )
    largest: float = setting(1e6, "Scores and norms of gradients beyond this have exploded.", low=1)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """How the dataset is used."""

    data: str = setting("", "Dataset made by dataset_tool.py.", option=False)
    fingerprint: str = setting("", "Fingerprint of the dataset.", option=False)
    subset: str = setting("", "Train on the images of this class only, by name or index.")
    mirror: bool = setting(False, "Flip real images left to right, half of the time.")
    conditional: bool = setting(False, "Train with the labels of the dataset (AC-GAN).")

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """How often pictures and snapshots are written."""

    image_ticks: int = setting(1, "Ticks between two sample grids.", low=1)
    snapshot_ticks: int = setting(10, "Ticks between two network snapshots.", low=1)
    keep_states: int = setting(2, "Training states to keep, for --resume (the newest ones).", low=1)
    checkpoint_minutes: float = setting(
        15.0,
        "Minutes of training after which a state and a "
        "network are saved between snapshots; 0: never.",
        low=0,
    )
    metrics: str = setting(
        "",
        "Metrics of each snapshot, perhaps with a number of images, e.g. "
        "swd16k,ms-ssim; see python -m metrics --help.",
    )
    best: str = setting(
        "", "Keep the best snapshot by one of these metrics, e.g. kid, as network-best-…."
    )
    detector: str = setting(
        "", "Detector of the metrics that compare features, as in python -m metrics."
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """All settings of one training."""

    preset: str = setting("custom", "Preset that the run started from.", option=False)
    init_from: str = setting(
        "", "Network file or training state with whose networks the run began.", option=False
    )
    seed: int = setting(0, "Seed of every random number in the run.", low=0)
    precision: str = setting(
        "fp32",
        "Arithmetic of the convolutions; tf32 is faster on CUDA, "
        "bf16 there and on CPUs that have it, and both are coarser; fp16, "
        "with loss scaling, is the official code's, for CUDA.",
        choices=("fp32", "tf32", "bf16", "fp16"),
    )
    low_precision_from: int = setting(
        4,
        "Lowest resolution to train in --precision bf16 or fp16; below it, in float32.",
        resolution=True,
    )
    acceleration: str = setting(
        "auto",
        "How steps are computed: operation after operation "
        "(eager), these recorded as CUDA graphs (eager-graph), with "
        "compiled losses (compile), or these recorded (graph); with the "
        "same results but for rounding. auto: eager.",
        choices=("auto", "eager", "eager-graph", "compile", "graph"),
    )
    micro_batch: int = setting(
        0,
        "Most images that go through the networks at once: a larger "
        "batch goes in parts, with the same gradients. auto: halved where "
        "memory is too small.",
        low=0,
        auto=0,
    )
    preflight: str = setting(
        "auto",
        "What to do at the start to find out memory and speed at each "
        "resolution: one real step, an estimate, or nothing. auto: a step on "
        "CUDA, an estimate elsewhere.",
        choices=("auto", "step", "estimate", "none"),
    )
    device_data_gib: float = setting(
        -1.0,
        "GiB of the device's memory for images of the dataset: "
        "a resolution that fits in is read once and stays there. "
        "auto: a quarter of what the GPU has left, without a GPU 0.",
        low=0,
        high=1e6,
        auto=-1,
    )
    threads: int = setting(
        0,
        "CPU threads of the networks, 0: as torch chooses; narrow networks are fastest with 1.",
        low=0,
        high=1024,
    )
    network: Network = field(default_factory=Network)
    growth: Growth = field(default_factory=Growth)
    objective: LossConfig = field(default_factory=LossConfig)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)
    guard: Guard = field(default_factory=Guard)
    data: Data = field(default_factory=Data)
    output: Output = field(default_factory=Output)

    def __post_init__(self) -> None:
        validate(self)
        if self.augment.augment == "none" and self.augment.augment_p:
            raise UserError(
                f"--augment-p {self.augment.augment_p:g} needs --augment fixed or "
                "adaptive: without it nothing is augmented."
            )
        if self.augment.augment == "fixed" and not self.augment.augment_p:
            raise UserError("--augment fixed needs a probability, such as --augment-p 0.3.")
        if self.precision == "fp16" and self.optim.optimizer != "adam":
            raise UserError(
                "--precision fp16 leaves out steps whose gradients overflow, and of "
                "the optimizers only adam can: choose --optimizer adam, or "
                "--precision bf16."
            )
        if self.objective.objective in AUTOENCODERS_ONLY and self.network.kind != "autoencoder":
            raise UserError(
                f"--objective {self.objective.objective} compares energies: it needs "
                "--kind autoencoder."
            )
        if self.network.grows and self.growth.initial_resolution > self.network.resolution:
            raise UserError(
                f"--initial-resolution {self.growth.initial_resolution} is larger "
                f"than the final resolution {self.network.resolution}."
            )
        if self.growth.fade_first and not self.grows:
            raise UserError(
                "--fade-first has nothing to fade in: the run begins at its final "
                f"resolution, {self.network.resolution}."
            )
        if self.optim.freeze_d > self.network.max_level - MIN_LEVEL:
            raise UserError(
                f"--freeze-d {self.optim.freeze_d} would leave nothing to learn: of a "
                f"discriminator of resolution {self.network.resolution}, at most "
                f"{self.network.max_level - MIN_LEVEL} can keep their weights."
            )

    @property
    def grows(self) -> bool:
        """Whether resolutions are faded in."""
        return self.network.grows and self.growth.initial_resolution < self.network.resolution

    @property
    def random_layers(self) -> bool:
        """Whether layers of the discriminator draw random numbers themselves."""
        return self.network.dropout > 0 or self.objective.adaptive_noise


RENAMED = {"bf16_from": "low_precision_from"}  # settings of runs that are older than their names
# What runs did before these settings existed, where it is not the default of today.
BEFORE_SETTINGS: dict[str, dict[str, Any]] = {"objective": {"gp_resolution": "trained"}}
SECTIONS: dict[str, Any] = {
    "network": Network,
    "growth": Growth,
    "objective": LossConfig,
    "augment": Augment,
    "optim": Optim,
    "guard": Guard,
    "data": Data,
    "output": Output,
}


def override(run: Run, values: Mapping[str, Any]) -> Run:
    """Return `run` with some fields, named without their section, replaced."""
    known = {f.name for section in (Run, *SECTIONS.values()) for f in settings(section)}
    require_known(set(values) - known, "")
    nested = {}
    for name, section in SECTIONS.items():
        own = {f.name: values[f.name] for f in settings(section) if f.name in values}
        nested[name] = dataclasses.replace(getattr(run, name), **own)
    own = {f.name: values[f.name] for f in settings(Run) if f.name in values}
    return dataclasses.replace(run, **own, **nested)


def to_dict(run: Run) -> dict[str, Any]:
    """Return `run` as nested dictionaries for JSON."""
    return dataclasses.asdict(run)


def from_dict(values: Mapping[str, Any]) -> Run:
    """Return the run that `to_dict` described.

    Settings younger than the file get what runs did before, mostly their default.
    """
    nested = {
        name: section_from_dict(section, _with_earlier_values(name, values.get(name, {})))
        for name, section in SECTIONS.items()
    }
    own = {RENAMED.get(name, name): value for name, value in values.items() if name not in SECTIONS}
    require_known(set(own) - {f.name for f in settings(Run)}, "")
    return Run(**own, **nested)


def _with_earlier_values(section: str, values: Any) -> Any:
    return {**BEFORE_SETTINGS.get(section, {}), **values} if isinstance(values, Mapping) else values


def all_changes(old: Run, new: Run, without: Container[str] = ()) -> list[str]:
    """List the settings in which two runs differ, as 'name: old -> new'."""
    pairs = [(old, new), *((getattr(old, name), getattr(new, name)) for name in SECTIONS)]
    return [
        change
        for before, after in pairs
        for change in changes(before, after)
        if change.split(":")[0] not in without
    ]
