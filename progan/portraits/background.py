"""What is behind the sitter, out of focus."""

from progan.portraits.canvas import Canvas
from progan.portraits.factors import Background
from progan.portraits.shapes import bump, clamp


def paint_background(canvas: Canvas, background: Background) -> None:
    """A gradient and its patches of light, over the whole canvas."""
    along = canvas.y + 0.35 * background.slant * (canvas.x - 0.5)
    share = clamp(along)
    for channel, plane in enumerate(canvas.colour):
        first, last = background.top[channel], background.bottom[channel]
        plane[...] = first + (last - first) * share
    for blob in background.blobs:
        reach = blob.radius
        area = canvas.window(blob.x - reach, blob.y - reach, blob.x + reach, blob.y + reach)
        hill = bump(area.x, area.y, (blob.x, blob.y), (reach, reach))
        area.over(blob.colour, hill * blob.strength)
