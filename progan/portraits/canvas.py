"""The picture while it is being painted: colour planes, and where each of their pixels lies."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from progan.portraits.factors import Colour
from progan.portraits.head import Head, Point
from progan.portraits.shapes import Array, planes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A rectangle of the picture. `window` gives a smaller one that shares its memory."""

    colour: Array  # [3, h, w] display values 0..1, painted in place
    pixel: float  # side of one pixel in picture widths
    x: Array  # [1, w] picture coordinates of the pixel centres
    y: Array  # [h, 1]
    head_x: Array  # [h, w] head coordinates
    head_y: Array  # [h, w]
    face_x: Array  # [h, w] face coordinates
    face_y: Array  # [h, w]
    f: Array  # [h, w] 0 in the middle of the head, 1 on its outline
    slope: tuple[Array, Array]  # [h, w] df/dx, df/dy

    @classmethod
    def blank(cls, head: Head, resolution: int, rows: range) -> Self:
        """A strip of whole rows of the picture, unpainted."""
        pixel = 1.0 / resolution
        x = ((np.arange(resolution, dtype=np.float32) + 0.5) * pixel)[None, :]
        y = ((np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * pixel)[:, None]
        head_x, head_y = head.upright(x, y)
        f, fx, fy = head.outline(head_x, head_y)
        face_x, face_y = head.face(head_x, head_y, f)
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
    def empty(self) -> bool:
        """Whether there is no pixel to paint."""
        return self.f.size == 0

    def window(self, left: float, top: float, right: float, bottom: float) -> Self:
        """The part between these picture coordinates, rounded outwards to whole pixels."""
        first_row = round(float(self.y[0, 0]) / self.pixel - 0.5)
        rows = slice(*self._span(top, bottom, first_row, self.y.shape[0]))
        columns = slice(*self._span(left, right, 0, self.x.shape[1]))
        here = (rows, columns)
        return type(self)(
            colour=self.colour[:, rows, columns],
            pixel=self.pixel,
            x=self.x[:, columns],
            y=self.y[rows],
            head_x=self.head_x[here],
            head_y=self.head_y[here],
            face_x=self.face_x[here],
            face_y=self.face_y[here],
            f=self.f[here],
            slope=(self.slope[0][here], self.slope[1][here]),
        )

    def around(self, centre: Point, reach_x: float, reach_y: float) -> Self:
        """The window that reaches so far from the picture coordinates `centre`."""
        x, y = centre
        return self.window(x - reach_x, y - reach_y, x + reach_x, y + reach_y)

    def over(self, colour: Array | Colour, alpha: Array) -> None:
        """Lay a colour over the picture: [3, h, w] or one for all, with coverage [h, w]."""
        layer = planes_of(colour) if isinstance(colour, tuple) else colour
        change = layer - self.colour
        change *= alpha
        self.colour[...] += change

    def tint(self, colour: Colour, alpha: Array) -> None:
        """Multiply the picture by a colour, as far as `alpha` [h, w] says: a shadow, a glow."""
        self.colour[...] *= 1.0 - alpha * (1.0 - planes_of(colour))

    def _span(self, start: float, stop: float, first: int, count: int) -> tuple[int, int]:
        low = min(max(int(start / self.pixel) - 1 - first, 0), count)
        high = min(max(int(stop / self.pixel) + 2 - first, low), count)
        return low, high
