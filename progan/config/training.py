"""Settings of schedule, losses, augmentation, optimizers, rollbacks, dataset and output."""

from dataclasses import dataclass

from progan.errors import UserError
from progan.option_fields import (
    FloatAt,
    IntAt,
    Section,
    option_field,
    split_at_commas,
    validate_fields,
)
from progan.sizes import MAX_LEVEL, MIN_LEVEL

AUGMENT_KINDS = ("flip", "translate", "zoom", "stretch", "rotate", "shift", "color")


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth(Section):
    """When the networks grow, and what batch size and learning rates hold meanwhile."""

    # fmt: off
    total_kimg: float = option_field(12000.0, "Thousands of real images to show in all.", low=0.001,
        high=1e9)
    initial_resolution: int = option_field(4, "Resolution to start at.", resolution=True)
    training_kimg: float = option_field(600.0,
        "Thousands of images to train each resolution for, once faded in.", low=0, high=1e7)
    transition_kimg: float = option_field(600.0, "Thousands of images for each fade-in.", low=0,
        high=1e7)
    fade_first: bool = option_field(False,
        "Begin with the fade-in of the next resolution: the initial one was trained before.")
    batch: int = option_field(4, "Images per step.", low=1, high=65536)
    batch_at: IntAt = option_field((), "Other batch sizes at some resolutions, e.g. 4:128,8:64.",
        low=1, high=65536)
    g_lr: float = option_field(0.001, "Learning rate of the generator.", low=0)
    g_lr_at: FloatAt = option_field((),
        "Other generator rates at some resolutions, e.g. 512:0.002.", low=0)
    d_lr: float = option_field(0.001, "Learning rate of the discriminator.", low=0)
    d_lr_at: FloatAt = option_field((), "Other discriminator rates at some resolutions.", low=0)
    lr_decay: float = option_field(0.0,
        "Learning rates are divided by 1 + this times the thousands of images shown.", low=0)
    cooldown: float = option_field(0.0, "Share of the run, at its end, in which the learning rates "
        "fall to 0 in a straight line.", low=0, high=1)
    tick_kimg: float = option_field(160.0, "Thousands of images between two status lines.",
        low=0.001)
    tick_kimg_at: FloatAt = option_field(
        ((4, 160), (8, 140), (16, 120), (32, 100), (64, 80), (128, 60), (256, 40), (512, 20),
         (1024, 10)),
        "Other tick lengths at some resolutions.", low=0.001)
    minibatch_repeats: int = option_field(4,
        "Iterations that share one evaluation of the schedule.", low=1, high=10**9)
    d_repeats: int = option_field(1, "Discriminator steps per generator step.", low=1,
        high=10**9)
    # fmt: on

    def __post_init__(self) -> None:
        validate_fields(self)
        if self.training_kimg + self.transition_kimg == 0:
            raise UserError(
                "--training-kimg and --transition-kimg cannot both be 0: "
                "give at least one of them a positive length."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(Section):
    """Losses of generator and discriminator, and the weights of their terms."""

    # fmt: off
    objective: str = option_field("wgan-gp", "Loss functions.",
        choices=("wgan-gp", "wgan", "gan", "lsgan", "dragan", "ebgan", "began", "r1",
                 "relativistic"))
    gp_weight: float = option_field(10.0, "Weight of the gradient penalty (lambda; gamma of R1).",
        low=0)
    gp_target: float = option_field(1.0,
        "Gradient norm that the penalty of wgan-gp and dragan asks for.", low=1e-9,
        high=1e9)
    penalty_interval: int = option_field(1, "Compute the gradient penalty in every k-th step of "
        "the discriminator only, with k times its weight (lazy regularization); its learning rate "
        "is multiplied by k / (k + 1).", low=1, high=1000)
    gp_resolution: str = option_field("final", "Resolution of the images that wgan-gp takes the "
        "gradient with respect to: the final one at every level, as the official code (norms are "
        "2^k times smaller k levels below it), or the one being trained.",
        choices=("final", "trained"))
    drift: float = option_field(0.001, "Weight of the squared real scores that keeps those of "
        "wgan-gp and wgan from drifting away.", low=0)
    label_weight: float = option_field(1.0, "Weight of the AC-GAN label loss.", low=0)
    label_smoothing: float = option_field(0.0,
        "How far below 1 the target of reals is, of gan, dragan and r1.", low=0, high=0.5)
    label_noise: float = option_field(0.0,
        "Maximum random shift down of the targets, 1 of reals and 0 of fakes, of gan, dragan and "
        "r1.", low=0, high=0.5)
    margin: float = option_field(1.0, "Energy of fakes that ebgan asks for.", low=0)
    pulling_away: float = option_field(0.1, "Weight of ebgan's pulling-away term.", low=0)
    diversity: float = option_field(0.5,
        "Ratio of the energies of fakes and reals that began keeps (gamma).", low=0, high=1)
    balance_rate: float = option_field(0.001, "How fast began's k moves to keep it (lambda).",
        low=0, high=1)
    fake_weight: float = option_field(1.0,
        "Weight of the fakes in lsgan's loss of the discriminator (the paper's networks: 0.1).",
        low=0)
    adaptive_noise: bool = option_field(False, "Add noise to the discriminator's features when it "
        "recognises fakes too easily (appendix B, for lsgan).")
    separate_updates: bool = option_field(False,
        "Update the discriminator with reals and then with fakes, instead of with both.")
    mixed_batches: bool = option_field(False, "Pass reals and fakes through the discriminator in "
        "one batch (which changes batch normalisation).")
    # fmt: on

    def __post_init__(self) -> None:
        validate_fields(self)
        if self.separate_updates and (self.mixed_batches or self.objective == "relativistic"):
            raise UserError(
                "--separate-updates takes reals and fakes apart, which "
                "--mixed-batches and --objective relativistic put together."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Augment(Section):
    """Augmentation of all that the discriminator sees (Karras et al. 2020, StyleGAN2-ADA).

    Defaults are those of Keras' example of adaptive discriminator augmentation.
    """

    # fmt: off
    augment: str = option_field("none", "Augment what the discriminator sees, with a fixed "
        "probability or one that follows its accuracy; for small datasets.",
        choices=("none", "fixed", "adaptive"))
    augment_p: float = option_field(0.0, "Probability of each augmentation: the fixed one, or the "
        "one to start from. From about 0.8 on, generated images look augmented themselves.", low=0,
        high=1)
    augment_kinds: str = option_field("flip,translate,zoom,rotate",
        f"Augmentations: some of {','.join(AUGMENT_KINDS)}.", choices=AUGMENT_KINDS, several=True)
    augment_together: bool = option_field(False,
        "Apply all of the augmentations to an image or none, instead of each for itself.")
    augment_translate: float = option_field(0.125,
        "Farthest translation (whole pixels) and shift (fractions of them), per side length.",
        low=0, high=1)
    augment_zoom: float = option_field(0.25, "Strongest zoom: in and out by 1 + this.", low=0,
        high=3)
    augment_stretch: float = option_field(0.25,
        "Strongest stretch: wider and lower, or the other way, by 1 + this.", low=0, high=3)
    augment_rotate: float = option_field(0.125, "Largest rotation either way, in turns.", low=0,
        high=0.5)
    augment_color: float = option_field(1.0,
        "Strength of the colour changes; 1: as in StyleGAN2-ADA.", low=0, high=1)
    augment_accuracy: float = option_field(0.85, "Accuracy of the discriminator on real images "
        "that an adaptive probability keeps. StyleGAN2-ADA's r_t is 2 x accuracy - 1: its 0.6 is "
        "an accuracy of 0.8.", low=0, high=1)
    augment_control: str = option_field("proportional", "An adaptive probability moves in "
        "proportion to the error of the accuracy (Keras) or at a constant speed (StyleGAN2-ADA).",
        choices=("proportional", "constant"))
    augment_steps: int = option_field(1000, "Steps in which an error of 100 % (any error, at "
        "constant speed) moves an adaptive probability by 1.", low=1)
    # fmt: on

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(split_at_commas(self.augment_kinds))


@dataclass(frozen=True, kw_only=True, slots=True)
class Optim(Section):
    """The optimizers and the moving average of the generator."""

    # fmt: off
    optimizer: str = option_field("adam", "Algorithm.", choices=("adam", "rmsprop"))
    beta1: float = option_field(0.0, "Adam's first decay rate.", low=0, high=0.9999)
    beta2: float = option_field(0.99, "Adam's second decay rate, or RMSProp's only one.", low=0,
        high=0.99999)
    epsilon: float = option_field(1e-8, "Adam's or RMSProp's epsilon.", low=1e-30)
    clip_gradients: float = option_field(0.0, "Clip each element of a gradient to this; 0: do not.",
        low=0)
    clip_weights: float = option_field(0.0,
        "Clip each weight of the discriminator to this after its steps (wgan); 0: do not.", low=0)
    ema_decay: float = option_field(0.999,
        "Decay of the generator's moving average, which makes the images, per step of the "
        "discriminator.", low=0,
        high=0.9999999)
    reset_optimizers: bool = option_field(True,
        "Reset the optimizers at the start and at the end of each fade.")
    freeze_d: int = option_field(0, "How many resolutions of the discriminator, from the highest "
        "one down, keep the weights that they began with (FreezeD, Mo et al. 2020).", low=0,
        high=MAX_LEVEL - MIN_LEVEL)
    # fmt: on


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard(Section):
    """When a training counts as diverged, and how often it is rolled back."""

    # fmt: off
    rollbacks: int = option_field(3, "How often a run may return to its last good state, and "
        "continue with the data in another order, when a number is not finite or explodes; then it "
        "stops. --resume allows as many again.",
        low=0)
    largest: float = option_field(1e6, "Scores and norms of gradients beyond this have exploded.",
        low=1)
    # fmt: on


@dataclass(frozen=True, kw_only=True, slots=True)
class Data(Section):
    """The dataset and its use."""

    # fmt: off
    data: str = option_field("", "Dataset made by dataset_tool.py.", option=False)
    fingerprint: str = option_field("", "Fingerprint of the dataset.", option=False)
    subset: str = option_field("", "Train on the images of this class only, by name or index.")
    mirror: bool = option_field(False, "Flip real images left to right, half of the time.")
    conditional: bool = option_field(False, "Train with the labels of the dataset (AC-GAN).")
    # fmt: on


@dataclass(frozen=True, kw_only=True, slots=True)
class Output(Section):
    """Intervals of samples, snapshots and states, and the metrics of snapshots."""

    # fmt: off
    image_ticks: int = option_field(1, "Ticks between two sample grids.", low=1)
    snapshot_ticks: int = option_field(10, "Ticks between two network snapshots.", low=1)
    keep_states: int = option_field(2, "Training states to keep, for --resume (the newest ones).",
        low=1)
    checkpoint_minutes: float = option_field(15.0, "Minutes of training after which a state and a "
        "network are saved between snapshots; 0: never.", low=0)
    metrics: str = option_field("", "Metrics of each snapshot, perhaps with a number of images, "
        "e.g. swd16k,ms-ssim; see python -m metrics --help.")
    best: str = option_field("",
        "Keep the best snapshot by one of these metrics, e.g. kid, as network-best-….")
    detector: str = option_field("",
        "Detector of the metrics that compare features, as in python -m metrics.")
    # fmt: on
