"""Sample the factors of portraits: their distributions and correlations."""

from typing import get_args

from progan.data.portraits.factors import (
    Background,
    Beard,
    BeardStyle,
    Blob,
    Brows,
    Clothing,
    ClothingStyle,
    Colour,
    Eyes,
    Face,
    Factors,
    Glasses,
    GlassesStyle,
    Hair,
    HairStyle,
    Light,
    Mouth,
    Pose,
    Skin,
)
from progan.data.portraits.numerics import Rng

SKIN_TONES: tuple[Colour, ...] = (  # from the palest to the darkest
    (0.95, 0.80, 0.73),
    (0.91, 0.73, 0.63),
    (0.86, 0.66, 0.53),
    (0.76, 0.55, 0.41),
    (0.62, 0.43, 0.31),
    (0.48, 0.32, 0.23),
    (0.37, 0.25, 0.19),
)
HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.13, 0.11, 0.107),
    "dark brown": (0.25, 0.17, 0.13),
    "brown": (0.36, 0.235, 0.155),
    "light brown": (0.52, 0.375, 0.245),
    "blond": (0.78, 0.635, 0.41),
    "red": (0.55, 0.27, 0.14),
    "grey": (0.56, 0.55, 0.54),
    "white": (0.80, 0.79, 0.77),
}
IRIS_COLOURS: dict[str, Colour] = {
    "dark brown": (0.24, 0.14, 0.09),
    "brown": (0.40, 0.25, 0.14),
    "hazel": (0.47, 0.38, 0.20),
    "green": (0.37, 0.46, 0.32),
    "blue": (0.36, 0.50, 0.64),
    "grey": (0.47, 0.53, 0.57),
}
FABRICS: dict[Colour, float] = {
    (0.13, 0.14, 0.17): 4,
    (0.17, 0.21, 0.34): 3,
    (0.88, 0.87, 0.85): 3,
    (0.45, 0.46, 0.48): 2,
    (0.52, 0.16, 0.18): 1.5,
    (0.22, 0.37, 0.31): 1.5,
    (0.36, 0.52, 0.68): 2,
    (0.72, 0.58, 0.42): 1.5,
    (0.78, 0.47, 0.48): 1,
    (0.80, 0.66, 0.30): 0.7,
}
SCENES: dict[tuple[Colour, Colour, Colour], float] = {  # top, bottom, colour of the patches
    ((0.50, 0.52, 0.55), (0.27, 0.28, 0.31), (0.63, 0.64, 0.66)): 3,
    ((0.80, 0.81, 0.82), (0.60, 0.61, 0.63), (0.93, 0.92, 0.90)): 2,
    ((0.22, 0.25, 0.32), (0.10, 0.11, 0.15), (0.37, 0.41, 0.50)): 2,
    ((0.45, 0.36, 0.28), (0.21, 0.16, 0.13), (0.83, 0.63, 0.40)): 3,
    ((0.52, 0.62, 0.42), (0.22, 0.31, 0.19), (0.80, 0.86, 0.58)): 3,
    ((0.66, 0.77, 0.88), (0.45, 0.53, 0.52), (0.92, 0.93, 0.92)): 2,
    ((0.56, 0.30, 0.28), (0.26, 0.13, 0.15), (0.80, 0.50, 0.38)): 1,
    ((0.30, 0.46, 0.52), (0.14, 0.22, 0.29), (0.62, 0.75, 0.74)): 2,
}


def sample_factors(index: int, seed: int = 0) -> Factors:
    """Sample the factors of portrait `index`; they depend on these two numbers only."""
    for name, value in (("index", index), ("seed", seed)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must lie in 0..2**64-1, not {value}")
    rng = Rng((seed, index))
    masculine = rng.uniform()
    age = rng.bell(-0.2, 1.1)
    skin = _sample_skin(rng)
    hair = _sample_hair(rng, skin.melanin, masculine, age)
    mouth = _sample_mouth(rng, skin, masculine)
    return Factors(
        pose=_sample_pose(rng),
        face=_sample_face(rng, masculine, age),
        skin=skin,
        hair=hair,
        eyes=_sample_eyes(rng, skin.melanin, mouth.smile),
        brows=_sample_brows(rng, hair.colour, masculine),
        glasses=_sample_glasses(rng),
        mouth=mouth,
        beard=_sample_beard(rng, hair.colour, masculine),
        clothing=_sample_clothing(rng, masculine),
        background=_sample_background(rng),
        light=_sample_light(rng),
        texture=rng.word(),
    )


def mix_colours(first: Colour, second: Colour, share: float) -> Colour:
    """Interpolate: `first` where `share` is 0, `second` where it is 1."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def scale_colour(colour: Colour, factor: float) -> Colour:
    """Make a colour lighter or darker, within 0..1."""
    red, green, blue = (min(1.0, max(0.0, channel * factor)) for channel in colour)
    return red, green, blue


def _sample_pose(rng: Rng) -> Pose:
    return Pose(
        yaw=rng.bell(-26, 26),
        pitch=rng.bell(-7, 7),
        roll=rng.bell(-5, 5),
        shift_x=rng.bell(-0.012, 0.012),
        shift_y=rng.bell(-0.012, 0.012),
    )


def _sample_face(rng: Rng, masculine: float, age: float) -> Face:
    return Face(
        width=rng.bell(0.220, 0.250) + 0.008 * masculine,
        height=rng.bell(0.335, 0.362),
        jaw=rng.bell(-0.30, 0.0) + 0.10 * masculine,
        chin=rng.bell(0.0, 0.30) + 0.15 * masculine,
        nose_width=rng.bell(0.8, 1.2) + 0.1 * masculine,
        nose_length=rng.bell(0.9, 1.12),
        cheeks=rng.bell(0.6, 1.4),
        age=min(1.0, max(0.0, age)),
    )


def _sample_skin(rng: Rng) -> Skin:
    shade = rng.uniform()
    melanin = 0.75 * shade * shade + 0.25 * rng.uniform()
    place = melanin * (len(SKIN_TONES) - 1)
    step = min(int(place), len(SKIN_TONES) - 2)
    tone = mix_colours(SKIN_TONES[step], SKIN_TONES[step + 1], place - step)
    undertone = rng.bell(-0.04, 0.04)  # golden to rosy
    red, green, blue = tone
    return Skin(
        melanin=melanin,
        colour=scale_colour((red, green * (1 - undertone * 0.4), blue * (1 + undertone)), 1.0),
        blush=rng.bell(0.1, 1.0) * (1 - 0.5 * melanin),
    )


def _sample_hair_colour(rng: Rng, melanin: float, age: float) -> Colour:
    fair = max(0.0, 1 - 1.8 * melanin)
    weights = {
        "black": 0.4 + 5 * melanin,
        "dark brown": 1.4,
        "brown": 1.6 * fair + 0.15,
        "light brown": 1.3 * fair,
        "blond": 1.6 * fair,
        "red": 0.6 * fair,
        "grey": 3.5 * max(0.0, age - 0.55),
        "white": 3.0 * max(0.0, age - 0.65),
    }
    return scale_colour(HAIR_COLOURS[rng.pick(weights)], rng.bell(0.8, 1.2))


def _sample_hair(rng: Rng, melanin: float, masculine: float, age: float) -> Hair:
    feminine = 1 - masculine
    man = max(0.0, 2 * masculine - 0.7)
    woman = max(0.0, 2 * feminine - 0.6)
    weights: dict[HairStyle, float] = {
        "bald": man * (0.25 + 0.6 * max(0.0, age)),
        "buzz": man * 0.6 + 0.03,
        "short": man * 1.3 + 0.1,
        "swept": man * 1.2 + 0.15,
        "fringe": man * 0.5 + woman * 0.5,
        "bob": woman * 1.2,
        "long": woman * 1.9,
        "curly": woman * 0.7 + man * 0.3,
        "afro": 0.9 * max(0.0, melanin - 0.45) * 2,
        "tied": woman * 0.7,
    }
    return Hair(
        style=rng.pick(weights),
        colour=_sample_hair_colour(rng, melanin, age),
        volume=rng.bell(0.7, 1.35),
        length=rng.bell(-0.04, 0.06),
        hairline=rng.bell(-0.015, 0.03) - 0.01 * masculine,
        part=rng.uniform(-0.12, 0.12),
    )


def _sample_eyes(rng: Rng, melanin: float, smile: float) -> Eyes:
    fair = max(0.0, 1 - 2.5 * melanin)
    colours = {"dark brown": 0.8 + 4 * melanin, "brown": 1.5}
    colours |= {"hazel": fair, "green": 0.8 * fair, "blue": 1.9 * fair, "grey": 0.7 * fair}
    return Eyes(
        size=rng.bell(0.047, 0.057),
        spacing=rng.bell(0.106, 0.120),
        opening=rng.bell(0.42, 0.62) - 0.05 * max(0.0, smile),
        tilt=rng.bell(-0.08, 0.16),
        colour=scale_colour(IRIS_COLOURS[rng.pick(colours)], rng.bell(0.8, 1.2)),
        gaze_x=rng.bell(-0.18, 0.18),
        gaze_y=rng.bell(-0.06, 0.08),
    )


def _sample_brows(rng: Rng, hair_colour: Colour, masculine: float) -> Brows:
    return Brows(
        height=rng.bell(0.060, 0.074) - 0.004 * masculine,
        thickness=rng.bell(0.008, 0.014) + 0.004 * masculine,
        arch=rng.bell(0.008, 0.022) - 0.004 * masculine,
        tilt=rng.bell(-0.010, 0.010),
        colour=scale_colour(mix_colours(hair_colour, (0.22, 0.16, 0.13), 0.45), 0.9),
    )


def _sample_glasses(rng: Rng) -> Glasses:
    frames: dict[Colour, float] = {
        (0.08, 0.08, 0.09): 4,
        (0.33, 0.20, 0.12): 2,
        (0.62, 0.52, 0.36): 1.5,
        (0.55, 0.56, 0.58): 1,
        (0.45, 0.10, 0.12): 0.5,
    }
    styles: dict[GlassesStyle, float] = {"none": 0.8, "round": 0.1, "square": 0.1}
    return Glasses(
        style=rng.pick(styles),
        colour=rng.pick(frames),
        size=rng.bell(0.072, 0.086),
        thickness=rng.bell(0.005, 0.011),
    )


def _sample_mouth(rng: Rng, skin: Skin, masculine: float) -> Mouth:
    smile = rng.bell(-0.35, 1.15)
    smile = min(1.0, max(-0.15, smile))
    opens = rng.bernoulli(0.25 + 0.45 * max(0.0, smile))
    natural = mix_colours(skin.colour, (0.66, 0.25, 0.27), 0.48)
    painted = rng.pick({(0.70, 0.12, 0.17): 2.0, (0.76, 0.30, 0.36): 3.0, (0.55, 0.13, 0.22): 1.0})
    amount = rng.uniform(0.25, 0.8) if rng.bernoulli(0.75 * (1 - masculine)) else 0.0
    return Mouth(
        width=rng.bell(0.078, 0.096) + 0.008 * max(0.0, smile),
        smile=smile,
        openness=rng.uniform(0.2, 1.0) if opens else 0.0,
        fullness=rng.bell(0.7, 1.35),
        colour=mix_colours(natural, painted, amount),
    )


def _sample_beard(rng: Rng, hair_colour: Colour, masculine: float) -> Beard:
    grows = rng.bernoulli(max(0.0, 1.7 * masculine - 0.85))
    styles = dict.fromkeys(get_args(BeardStyle), 1.0) | {"none": 0.0, "full": 1.8, "stubble": 1.8}
    style: BeardStyle = rng.pick(styles)
    return Beard(
        style=style if grows else "none",
        colour=scale_colour(mix_colours(hair_colour, (0.20, 0.13, 0.10), 0.35), 0.95),
        density=rng.bell(0.5, 1.0),
    )


def _sample_clothing(rng: Rng, masculine: float) -> Clothing:
    styles: dict[ClothingStyle, float] = {"crew": 1.2, "v-neck": 0.9, "collar": 1.0}
    return Clothing(
        style=rng.pick(styles),
        colour=scale_colour(rng.pick(FABRICS), rng.bell(0.8, 1.2)),
        shoulders=rng.bell(0.16, 0.24) - 0.03 * masculine,
        neck=rng.bell(0.105, 0.125) + 0.015 * masculine,
    )


def _sample_background(rng: Rng) -> Background:
    top, bottom, patch = rng.pick(SCENES)
    return Background(
        top=scale_colour(top, rng.bell(0.7, 1.3)),
        bottom=scale_colour(bottom, rng.bell(0.7, 1.3)),
        slant=rng.uniform(-1, 1),
        blobs=tuple(_sample_blob(rng, patch) for _ in range(5)),
    )


def _sample_blob(rng: Rng, colour: Colour) -> Blob:
    return Blob(
        x=rng.uniform(),
        y=rng.uniform(-0.1, 0.9),
        radius=rng.uniform(0.12, 0.45),
        colour=scale_colour(colour, rng.bell(0.6, 1.3)),
        strength=rng.uniform(0.1, 0.7),
    )


def _sample_light(rng: Rng) -> Light:
    return Light(
        side=rng.bell(-1.2, 1.2),
        height=rng.bell(0.15, 0.7),
        warmth=rng.bell(-1, 1),
        contrast=rng.bell(0.55, 0.88),
        exposure=rng.bell(0.88, 1.12),
    )
