"""The parts of the page that Gradio has no component for, as HTML."""

from html import escape

from progan.explorer.renderer import Renderer, SavedFiles
from progan.explorer.server import IMAGE_PATH
from progan.explorer.view_state import ImageSpec, ViewState, describe_latent, format_query

LETTERS = 40  # of the name of a class, below the picture
# Pictures of up to so many px are enlarged by repeating pixels, big and among the neighbours.
REPEATED, REPEATED_SMALL = 256, 64


def utf8_safe(name: str) -> str:
    """What UTF-8 can carry to a browser: names may have letters that nothing can show."""
    return name.encode("utf-8", "backslashreplace").decode()


def escape_text(words: str) -> str:
    """For HTML."""
    return escape(utf8_safe(words))


def heading_html(renderer: Renderer) -> str:
    """The network, in a line."""
    kimg = renderer.snapshot.images_seen / 1000
    facts = [
        renderer.file.name,
        f"{renderer.size(renderer.levels[-1])} px",
        *[f"{kimg:,.0f} kimg"] * bool(kimg),
    ]
    return f"<h1>Explorer</h1><p>{escape_text(' · '.join(facts))}</p>"


def image_html(renderer: Renderer, view: ViewState) -> str:
    """The picture and its name, which its title has in full."""
    words = caption(renderer, view.spec)
    return (
        f'<figure style="{_measures(renderer)}">{_image(renderer, view.spec, words)}'
        f'<figcaption aria-live="polite" title="{escape_text(words)}">'
        f"{escape_text(caption(renderer, view.spec, LETTERS))}</figcaption></figure>"
    )


def caption(renderer: Renderer, spec: ImageSpec, letters: int | None = None) -> str:
    """'Seed 7, then 25% of the way to seed 12 · blond · 64x64'.

    Args:
        letters: How long the name of the class may be; None: as long as it is.
    """
    kind = renderer.class_of(spec)
    words = [
        describe_latent(spec.latent),
        *([] if kind is None else [_shortened(renderer.class_names[kind], letters)]),
        str(renderer.size(spec.level)),
    ]
    return _sentence(" · ".join(words))


def _shortened(name: str, letters: int | None) -> str:
    return name if letters is None or len(name) <= letters else f"{name[: letters - 1]}…"


def neighbours_html(renderer: Renderer, view: ViewState) -> str:
    """A button with a picture for each neighbour."""
    if not view.can_step:
        return (
            f"<p>These are {len(view.current_latent.steps)} steps, and there are no more: "
            "step back, or begin at another seed.</p>"
        )
    tiles = [
        f'<button type="button" data-seed="{seed}" '
        f'aria-label="{view.step_percent}% to seed {seed}">'
        f"{_image(renderer, spec, '')}<span>{seed}</span></button>"
        for seed, spec in view.neighbours.items()
    ]
    return (
        "<p>Neighbours, a step towards other seeds</p>"
        f'<div class="tiles" style="{_measures(renderer)}">{"".join(tiles)}</div>'
    )


def saved_html(files: SavedFiles) -> str:
    """Where the files are."""
    return (
        f'<p role="status">Saved <code>{escape_text(str(files.image))}</code> and its latent, '
        f"<code>{escape_text(files.latent.name)}</code>. To draw it again:</p>"
        f"<pre>{escape_text(files.command)}</pre>"
    )


def save_error_html(reason: str) -> str:
    return f'<p role="alert">Not saved. {escape_text(reason)}</p>'


def _image(renderer: Renderer, spec: ImageSpec, words: str) -> str:
    """Its script fetches it when its turn comes."""
    source = escape_text(f"{IMAGE_PATH}?{format_query(spec)}&network={renderer.fingerprint}")
    return f'<img data-src="{source}" alt="{escape_text(words)}" draggable="false">'


def _measures(renderer: Renderer) -> str:
    """For the style sheet: size of the largest picture, in px, and how it is enlarged."""
    size = renderer.size(renderer.levels[-1])
    ways = ["pixelated" if max(size) <= most else "auto" for most in (REPEATED, REPEATED_SMALL)]
    return (
        f"--width: {size.width}; --height: {size.height}; --rendering: {ways[0]}; "
        f"--tile-rendering: {ways[1]}"
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
