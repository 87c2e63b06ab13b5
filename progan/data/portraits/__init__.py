"""Portraits drawn by arithmetic: a data set that needs no download and never runs out.

`draw(index, resolution, seed)` gives picture number `index`. The same number gives the same
portrait at every resolution and on every machine.
"""

from progan.data.portraits.factors import Factors
from progan.data.portraits.painting import Portrait, draw, paint
from progan.data.portraits.population import factors

__all__ = ["Factors", "Portrait", "draw", "factors", "paint"]
