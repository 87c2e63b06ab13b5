"""Gradio, if it is installed, and without what it would say to others."""

import os

from progan.errors import UserError

# Read when Gradio, or what it brings with it, is imported.
SILENCE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1",
           "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def require_gradio() -> None:
    """Import Gradio for the first time; raises UserError if it is missing."""
    os.environ.update(SILENCE)
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UserError('--explore makes its page with Gradio: pip install "progan[web]" (or '
                        '".[web]" in a checkout).') from error
