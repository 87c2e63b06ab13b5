"""HTML of the parts of the page for which Gradio has no component."""

from html import escape

from progan.explorer.renderer import IMAGE_PATH, Renderer, SavedFiles
from progan.explorer.view_state import (
    MAX_PERCENT,
    ImageSpec,
    ViewState,
    describe_latent,
    format_query,
)

MAX_CLASS_CHARS = 40  # longer class names are cut in the caption
MAX_PIXELATED_SIDE, MAX_PIXELATED_TILE_SIDE = 256, 64  # px; enlarged by repeating pixels


def escape_surrogates(name: str) -> str:
    """Escape surrogates, which names of files and classes may have and UTF-8 cannot encode."""
    return name.encode("utf-8", "backslashreplace").decode()


def escape_text(text: str) -> str:
    """Escape for HTML."""
    return escape(escape_surrogates(text))


def heading_html(renderer: Renderer) -> str:
    """Return the title, with name, resolution and training time of the network."""
    kimg = renderer.snapshot.images_seen / 1000
    facts = [renderer.file.name, f"{renderer.size(renderer.levels[-1])} px"]
    facts += [f"{kimg:,.0f} kimg"] if kimg else []
    return f"<h1>Explorer</h1><p>{escape_text(' · '.join(facts))}</p>"


def image_html(renderer: Renderer, view: ViewState) -> str:
    """Return the image with its caption; the caption's tooltip is not shortened."""
    text = format_caption(renderer, view.spec)
    short = format_caption(renderer, view.spec, MAX_CLASS_CHARS)
    return (
        f'<figure style="{_css_sizes(renderer)}">'
        f"{_render_lazy_image_tag(renderer, view.spec, text)}"
        f'<figcaption aria-live="polite" title="{escape_text(text)}">'
        f"{escape_text(short)}</figcaption></figure>"
    )


def format_caption(renderer: Renderer, spec: ImageSpec, max_class_chars: int | None = None) -> str:
    """Return e.g. 'Seed 7, then 25% of the way to seed 12 · blond · 64x64'.

    Args:
        max_class_chars: Longer class names are cut; None: none are.
    """
    parts = [describe_latent(spec.latent)]
    if (index := renderer.class_of(spec)) is not None:
        name = renderer.class_names[index]
        is_long = max_class_chars is not None and len(name) > max_class_chars
        parts.append(f"{name[: max_class_chars - 1]}…" if max_class_chars and is_long else name)
    if spec.truncation != MAX_PERCENT:
        parts.append(f"truncation {spec.truncation / MAX_PERCENT:g}")
    text = " · ".join([*parts, str(renderer.size(spec.level))])
    return text[:1].upper() + text[1:]


def neighbours_html(renderer: Renderer, view: ViewState) -> str:
    """Return a button with an image for each neighbour."""
    if not view.can_step:
        return (
            f"<p>These are {len(view.current_latent.steps)} steps, and there are no more: "
            "step back, or begin at another seed.</p>"
        )
    tiles = [
        f'<button type="button" data-seed="{seed}" '
        f'aria-label="{view.step_percent}% to seed {seed}">'
        f"{_render_lazy_image_tag(renderer, spec, '')}<span>{seed}</span></button>"
        for seed, spec in view.neighbours.items()
    ]
    return (
        "<p>Neighbours, a step towards other seeds</p>"
        f'<div class="tiles" style="{_css_sizes(renderer)}">{"".join(tiles)}</div>'
    )


def saved_html(files: SavedFiles) -> str:
    """Return the message after saving: paths, and the command that generates the image again."""
    return (
        f'<p role="status">Saved <code>{escape_text(str(files.image))}</code> and its latent, '
        f"<code>{escape_text(files.latent.name)}</code>. To generate it again:</p>"
        f"<pre>{escape_text(files.command)}</pre>"
    )


def save_error_html(reason: str) -> str:
    return f'<p role="alert">Not saved. {escape_text(reason)}</p>'


def _render_lazy_image_tag(renderer: Renderer, spec: ImageSpec, alt: str) -> str:
    """Return an <img> whose address the script of the page sets, one image after the other."""
    source = escape_text(f"{IMAGE_PATH}?{format_query(spec)}&network={renderer.fingerprint}")
    return f'<img data-src="{source}" alt="{escape_text(alt)}" draggable="false">'


def _css_sizes(renderer: Renderer) -> str:
    """Return CSS variables: size of the largest image in px, and how images are enlarged."""
    size = renderer.size(renderer.levels[-1])
    image, tile = (
        "pixelated" if max(size) <= limit else "auto"
        for limit in (MAX_PIXELATED_SIDE, MAX_PIXELATED_TILE_SIDE)
    )
    return (
        f"--width: {size.width}; --height: {size.height}; --rendering: {image}; "
        f"--tile-rendering: {tile}"
    )
