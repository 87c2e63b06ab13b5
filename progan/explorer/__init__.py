"""A local web page to explore what a network generates."""

import os

from progan.errors import UserError

# Read when Gradio or one of its dependencies is imported.
NO_TELEMETRY = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


def require_gradio() -> None:
    """Import Gradio without telemetry; raises UserError if it, or a part of it, is missing."""
    os.environ.update(NO_TELEMETRY)
    try:
        import fastapi  # noqa: F401
        import gradio  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--explore makes its page with Gradio, and {error.name or 'a part of it'} "
            'is missing: pip install "progan[web]" (or ".[web]" in a checkout).'
        ) from error
