"""The geometry of the head, and the image while it is being painted.

Three systems of coordinates, all in image widths, x to the right and y down:
*image* (the origin is the top left corner), *head* (upright, the origin is the middle of the
head) and *face* (on the skin, as seen from the front: features are drawn in it and turn with it).
"""

import math
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np

from progan.data.portraits.factors import Colour, Factors
from progan.data.portraits.numerics import Array, colour_to_planes, safe_sqrt

Point: TypeAlias = tuple[float, float]  # x, y

EYE_LINE = 0.455  # image height of the point between the eyes
DEPTH = 0.25  # from the plane of the outline to the tip of the face


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of one portrait: sizes, the turn, and where its features are on the face."""

    x: float  # middle of the head in the image
    y: float
    width: float  # half the width
    height: float  # half the height
    jaw: float
    chin: float
    roll: tuple[float, float]  # cosine and sine
    yaw: tuple[float, float]
    pitch: tuple[float, float]
    eye: Point  # the eye on the right of the image, in face coordinates
    nose: Point  # its tip
    mouth: Point  # its right corner
    lips_y: float  # the middle of the line between the lips
    landmarks: tuple[Point, ...] = ()
    """Image coordinates of eyes, nose and corners of the mouth; left before right."""

    @classmethod
    def from_factors(cls, factors: Factors) -> Self:
        """Compute the head that these factors describe, its eyes aligned in the image."""
        face, mouth, pose = factors.face, factors.mouth, factors.pose
        lips_y = 0.196 + 0.006 * (face.nose_length - 1.0) * 10
        head = cls(
            x=0.5,
            y=0.5,
            width=face.width,
            height=face.height,
            jaw=face.jaw,
            chin=face.chin,
            roll=_cosine_sine(pose.roll),
            yaw=_cosine_sine(pose.yaw),
            pitch=_cosine_sine(pose.pitch),
            eye=(factors.eyes.spacing, -0.042),
            nose=(0.0, -0.042 + 0.135 * face.nose_length),
            mouth=(mouth.width, lips_y - 0.20 * mouth.width * mouth.smile),
            lips_y=lips_y,
        )
        return head._with_eyes_at(0.5 + pose.shift_x, EYE_LINE + pose.shift_y)

    def _with_eyes_at(self, x: float, y: float) -> Self:
        """Return the head moved so that the middle between its eyes lies at (x, y)."""
        (eye_x, eye_y), (mouth_x, mouth_y) = self.eye, self.mouth
        marks = self._project(
            [(-eye_x, eye_y), self.eye, self.nose, (-mouth_x, mouth_y), self.mouth]
        )
        (left_x, left_y), (right_x, right_y) = marks[:2]
        dx, dy = x - (left_x + right_x) / 2, y - (left_y + right_y) / 2
        return replace(
            self,
            x=self.x + dx,
            y=self.y + dy,
            landmarks=tuple((mark_x + dx, mark_y + dy) for mark_x, mark_y in marks),
        )

    def to_head(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Convert image to head coordinates."""
        cosine, sine = self.roll
        u, v = x - self.x, y - self.y
        return u * cosine + v * sine, v * cosine - u * sine

    def outline(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Compute f, df/dx, df/dy in head coordinates; f is 0 in the middle and 1 on the outline.

        f = (x / (w m))^2 + (1 - c) v^2 + c v^4, with v = y / h and m = 1 + jaw max(v, 0)^2.
        """
        v = y * (1.0 / self.height)
        low = np.maximum(v, 0.0)
        widening = 1.0 + self.jaw * low * low
        u = x / (self.width * widening)
        v2 = v * v
        f = u * u + v2 * (1.0 - self.chin + self.chin * v2)
        fx = 2.0 * u / (self.width * widening)
        fy = v * (2.0 * (1.0 - self.chin) + 4.0 * self.chin * v2)
        fy -= 4.0 * self.jaw * low * (u * u / widening)
        return f, fx, fy * (1.0 / self.height)

    def to_face(self, x: Array, y: Array, f: Array) -> tuple[Array, Array]:
        """Convert head to face coordinates, by turning the point of the skin that is seen there."""
        depth = DEPTH * safe_sqrt(1.0 - f)
        return (x * self.yaw[0] - depth * self.yaw[1], y * self.pitch[0] - depth * self.pitch[1])

    def to_image(self, x: float, y: float) -> Point:
        """Convert head to image coordinates: the inverse of `to_head`."""
        cosine, sine = self.roll
        return self.x + x * cosine - y * sine, self.y + x * sine + y * cosine

    def _project(self, points: list[Point]) -> list[Point]:
        """Compute image coordinates of points on the face: the inverse of `to_head` and `to_face`.

        Fixed point of x = (X + z(x, y) sin yaw) / cos yaw. The skin slopes gently where
        features are, so each step shrinks the error about five times.
        """
        target_x, target_y = np.array(points, dtype=np.float32).T
        x, y = target_x, target_y
        for _ in range(6):
            depth = DEPTH * safe_sqrt(1.0 - self.outline(x, y)[0])
            x = (target_x + depth * self.yaw[1]) / self.yaw[0]
            y = (target_y + depth * self.pitch[1]) / self.pitch[0]
        return [self.to_image(*place) for place in zip(x.tolist(), y.tolist(), strict=True)]


def _cosine_sine(degrees: float) -> tuple[float, float]:
    """Return cosine and sine by their series: `math.sin` is not the same everywhere."""
    t = math.radians(degrees)
    t2 = t * t
    cosine = 1 - t2 / 2 * (1 - t2 / 12 * (1 - t2 / 30 * (1 - t2 / 56)))
    sine = t * (1 - t2 / 6 * (1 - t2 / 20 * (1 - t2 / 42 * (1 - t2 / 72))))
    return cosine, sine


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A rectangle of the image. `window` returns a smaller one that shares its memory."""

    colour: Array  # [3, h, w] display values 0..1, painted in place
    pixel: float  # side of one pixel in image widths
    x: Array  # [1, w] image coordinates of the pixel centres
    y: Array  # [h, 1]
    head_x: Array  # [h, w] head coordinates
    head_y: Array  # [h, w]
    face_x: Array  # [h, w] face coordinates
    face_y: Array  # [h, w]
    f: Array  # [h, w] 0 in the middle of the head, 1 on its outline
    slope: tuple[Array, Array]  # [h, w] df/dx, df/dy

    @classmethod
    def blank_strip(cls, head: Head, resolution: int, rows: range) -> Self:
        """Create a blank strip of whole rows of the image."""
        pixel = 1.0 / resolution
        x = ((np.arange(resolution, dtype=np.float32) + 0.5) * pixel)[None, :]
        y = ((np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * pixel)[:, None]
        head_x, head_y = head.to_head(x, y)
        f, fx, fy = head.outline(head_x, head_y)
        face_x, face_y = head.to_face(head_x, head_y, f)
        return cls(
            colour=np.zeros((3, len(rows), resolution), dtype=np.float32),
            pixel=pixel,
            x=x,
            y=y,
            head_x=head_x,
            head_y=head_y,
            face_x=face_x,
            face_y=face_y,
            f=f,
            slope=(fx, fy),
        )

    @property
    def is_empty(self) -> bool:
        return self.f.size == 0

    def window(self, left: float, top: float, right: float, bottom: float) -> Self:
        """Return the part between these image coordinates, rounded outwards to whole pixels."""
        first_row = round(float(self.y[0, 0]) / self.pixel - 0.5)
        rows = slice(*self._clip_pixel_span(top, bottom, first_row, self.y.shape[0]))
        columns = slice(*self._clip_pixel_span(left, right, 0, self.x.shape[1]))
        here = (rows, columns)
        return replace(
            self,
            colour=self.colour[:, rows, columns],
            x=self.x[:, columns],
            y=self.y[rows],
            head_x=self.head_x[here],
            head_y=self.head_y[here],
            face_x=self.face_x[here],
            face_y=self.face_y[here],
            f=self.f[here],
            slope=(self.slope[0][here], self.slope[1][here]),
        )

    def window_around(self, centre: Point, reach_x: float, reach_y: float) -> Self:
        """Return the window of twice the reach around the image coordinates `centre`."""
        x, y = centre
        return self.window(x - reach_x, y - reach_y, x + reach_x, y + reach_y)

    def blend(self, colour: Array | Colour, alpha: Array) -> None:
        """Blend a colour over the image: [3, h, w] or one for all, with coverage [h, w]."""
        layer = colour_to_planes(colour) if isinstance(colour, tuple) else colour
        change = layer - self.colour
        change *= alpha
        self.colour[...] += change

    def multiply(self, colour: Colour, alpha: Array) -> None:
        """Multiply the image by a colour, with weight `alpha` [h, w]: a shadow, a glow."""
        self.colour[...] *= 1.0 - alpha * (1.0 - colour_to_planes(colour))

    def _clip_pixel_span(
        self, start: float, stop: float, first: int, count: int
    ) -> tuple[int, int]:
        """Return first and last pixel + 1 between two coordinates, within the canvas."""
        low = min(max(int(start / self.pixel) - 1 - first, 0), count)
        high = min(max(int(stop / self.pixel) + 2 - first, low), count)
        return low, high
