"""Procedurally generated portraits: an endless dataset that needs no download.

`generate_portrait(index, resolution, seed)` gives the same portrait at every resolution and on
every machine.
"""

from progan.data.portraits.factors import Factors
from progan.data.portraits.generate import Portrait, generate_portrait, render_portrait
from progan.data.portraits.population import sample_factors

__all__ = ["Factors", "Portrait", "generate_portrait", "render_portrait", "sample_factors"]
