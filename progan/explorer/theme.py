"""How the page looks, beside its style sheet."""

from importlib.resources import files
from typing import Any

import gradio as gr

FONTS = ["system-ui", "sans-serif"]  # the machine's own: none are fetched
CODE_FONTS = ["ui-monospace", "monospace"]


def style() -> dict[str, Any]:
    """Greys, so that the pictures have the colours; as Gradio takes it."""
    theme = gr.themes.Base(primary_hue="neutral", secondary_hue="neutral", neutral_hue="neutral",
                           font=FONTS, font_mono=CODE_FONTS).set(
        block_background_fill="transparent", block_background_fill_dark="transparent",
        block_border_width="0px", block_shadow="none",
        block_padding="0px", block_label_text_size="*text_sm", layout_gap="1rem",
        body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
        button_border_width="1px", button_large_text_weight="500",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_primary_background_fill="*neutral_800",
        button_primary_background_fill_hover="*neutral_700",
        button_primary_background_fill_dark="*neutral_200",
        button_primary_background_fill_hover_dark="*neutral_50",
        button_primary_text_color_dark="*neutral_900",
        slider_color="*neutral_600", slider_color_dark="*neutral_300")
    return {"theme": theme, "css": part("page.css")}


def part(name: str) -> str:
    """A file of the page."""
    return (files("progan.explorer") / name).read_text("utf-8")
