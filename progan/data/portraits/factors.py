"""Factors of variation of the portraits. Lengths in image widths, colours in 0..1 display."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Colour: TypeAlias = tuple[float, float, float]
HairStyle: TypeAlias = Literal[
    "bald", "buzz", "short", "swept", "fringe", "bob", "long", "curly", "afro", "tied"
]
BeardStyle: TypeAlias = Literal["none", "stubble", "moustache", "goatee", "full"]
GlassesStyle: TypeAlias = Literal["none", "round", "square"]
ClothingStyle: TypeAlias = Literal["crew", "v-neck", "collar"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """Rotation and position of the head."""

    yaw: float  # degrees, positive turns to the right of the image, -26..26
    pitch: float  # degrees, positive looks down, -7..7
    roll: float  # degrees, positive leans clockwise, -5..5
    shift_x: float  # shift of the point between the eyes, -0.012..0.012
    shift_y: float  # likewise, positive is down


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """The outline of the head and the relief of the nose and the cheeks."""

    width: float  # half the width of the head, 0.220..0.258
    height: float  # half its height, skull to chin, 0.335..0.362
    jaw: float  # widening of the jaw, -0.30 (pointed) .. 0.10 (broad)
    chin: float  # squareness of the outline, 0 (an ellipse) .. 0.45
    nose_width: float  # 0.8..1.3 of the ordinary width
    nose_length: float  # 0.9..1.12 of the ordinary length
    cheeks: float  # height of the cheekbones, 0.6..1.4
    age: float  # 0 (smooth) .. 1 (deep folds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Skin:
    melanin: float  # 0 (palest) .. 1 (darkest)
    colour: Colour  # colour of the cheek in plain light
    blush: float  # redness of cheeks, nose and ears, 0..1


@dataclass(frozen=True, kw_only=True, slots=True)
class Hair:
    style: HairStyle
    colour: Colour
    volume: float  # 0.7..1.35 of the thickness of the style
    length: float  # -0.04..0.06, added to where the style ends
    hairline: float  # -0.025..0.03, positive is a lower hairline
    part: float  # where the parting lies, -0.12..0.12 from the middle


@dataclass(frozen=True, kw_only=True, slots=True)
class Eyes:
    size: float  # half the width of one eye, 0.047..0.057
    spacing: float  # from the middle of the face to a pupil, 0.106..0.120
    opening: float  # height over half width, 0.37..0.62
    tilt: float  # rise of the outer corner, -0.08..0.16
    colour: Colour  # iris
    gaze_x: float  # -0.18..0.18 of half an eye's width
    gaze_y: float  # -0.06..0.08


@dataclass(frozen=True, kw_only=True, slots=True)
class Brows:
    height: float  # above the eyes, 0.056..0.074
    thickness: float  # 0.008..0.018
    arch: float  # 0.004..0.022
    tilt: float  # rise of the outer end, -0.010..0.010
    colour: Colour


@dataclass(frozen=True, kw_only=True, slots=True)
class Glasses:
    style: GlassesStyle
    colour: Colour  # frame
    size: float  # half the width of a lens, 0.072..0.086
    thickness: float  # frame, 0.005..0.011


@dataclass(frozen=True, kw_only=True, slots=True)
class Mouth:
    width: float  # half the width, 0.078..0.104
    smile: float  # -0.15 (corners down) .. 1 (broad smile)
    openness: float  # 0 (closed) .. 1
    fullness: float  # fullness of the lips, 0.7..1.35
    colour: Colour


@dataclass(frozen=True, kw_only=True, slots=True)
class Beard:
    style: BeardStyle
    colour: Colour
    density: float  # 0.5..1


@dataclass(frozen=True, kw_only=True, slots=True)
class Clothing:
    style: ClothingStyle
    colour: Colour
    shoulders: float  # slope: how far they drop towards the edge, 0.13..0.24
    neck: float  # half the width of the neck, 0.105..0.14


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """One blurred patch of the background."""

    x: float  # centre, 0..1
    y: float  # centre, -0.1..0.9
    radius: float  # 0.12..0.45
    colour: Colour
    strength: float  # 0..0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """A gradient from corner to corner, with blurred patches on it."""

    top: Colour
    bottom: Colour
    slant: float  # -1 (from right to left) .. 1 (from left to right)
    blobs: tuple[Blob, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """One large lamp and ambient light."""

    side: float  # where the lamp stands, -1.2 (left) .. 1.2 (right)
    height: float  # 0.15 (level) .. 0.7 (high)
    warmth: float  # -1 (daylight) .. 1 (tungsten)
    contrast: float  # share of the lamp, 0.55..0.88
    exposure: float  # 0.88..1.12


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    pose: Pose
    face: Face
    skin: Skin
    hair: Hair
    eyes: Eyes
    brows: Brows
    glasses: Glasses
    mouth: Mouth
    beard: Beard
    clothing: Clothing
    background: Background
    light: Light
    texture: int  # 0..2**64-1, key of the noise in strands and grain
