"""Gradio, if it is installed, and without what it would say to others."""

import os

from progan.errors import UserError

# Read when Gradio, or what it brings with it, is imported.
SILENCE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1",
           "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def require_gradio() -> None:
    """Import Gradio for the first time; raises UserError if it, or a part of it, is missing."""
    os.environ.update(SILENCE)
    try:
        import fastapi  # noqa: F401
        import gradio  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f'--explore makes its page with Gradio, and {error.name or "a part of it"} '
                        'is missing: pip install "progan[web]" (or ".[web]" in a checkout).'
                        ) from error
