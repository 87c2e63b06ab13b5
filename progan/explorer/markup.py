"""The parts of the page that Gradio has no component for, as HTML."""

from html import escape

from progan.explorer.renderer import Renderer, SavedFiles
from progan.explorer.server import IMAGE_PATH
from progan.explorer.view_state import ImageSpec, ViewState, describe_latent, format_query

LETTERS = 40  # of the name of a class, below the picture
# Pictures of up to so many px are enlarged by repeating pixels, big and among the neighbours.
REPEATED, REPEATED_SMALL = 256, 64


def readable(name: str) -> str:
    """What UTF-8 can carry to a browser: names may have letters that nothing can show."""
    return name.encode("utf-8", "backslashreplace").decode()


def text(words: str) -> str:
    """For HTML."""
    return escape(readable(words))


def heading(painter: Renderer) -> str:
    """The network, in a line."""
    kimg = painter.snapshot.images_seen / 1000
    facts = [painter.file.name, f"{painter.size(painter.levels[-1])} px",
             *[f"{kimg:,.0f} kimg"] * bool(kimg)]
    return f"<h1>Explorer</h1><p>{text(' · '.join(facts))}</p>"


def picture(painter: Renderer, look: ViewState) -> str:
    """The picture and its name, which its title has in full."""
    words = caption(painter, look.sight)
    return (f'<figure style="{_measures(painter)}">{_image(painter, look.sight, words)}'
            f'<figcaption aria-live="polite" title="{text(words)}">'
            f"{text(caption(painter, look.sight, LETTERS))}</figcaption></figure>")


def caption(painter: Renderer, sight: ImageSpec, letters: int | None = None) -> str:
    """'Seed 7, then 25% of the way to seed 12 · blond · 64x64'.

    Args:
        letters: How long the name of the class may be; None: as long as it is.
    """
    kind = painter.kind_of(sight)
    words = [describe_latent(sight.place),
             *([] if kind is None else [_shortened(painter.kinds[kind], letters)]),
             str(painter.size(sight.level))]
    return _sentence(" · ".join(words))


def _shortened(name: str, letters: int | None) -> str:
    return name if letters is None or len(name) <= letters else f"{name[:letters - 1]}…"


def neighbours(painter: Renderer, look: ViewState) -> str:
    """A button with a picture for each neighbour."""
    if not look.leads_on:
        return (f"<p>These are {len(look.here.steps)} steps, and there are no more: step back, or "
                "begin at another seed.</p>")
    tiles = [f'<button type="button" data-seed="{seed}" aria-label="{look.far}% to seed {seed}">'
             f'{_image(painter, sight, "")}<span>{seed}</span></button>'
             for seed, sight in look.neighbours.items()]
    return ("<p>Neighbours, a step towards other seeds</p>"
            f'<div class="tiles" style="{_measures(painter)}">{"".join(tiles)}</div>')


def saved(files: SavedFiles) -> str:
    """Where the files are."""
    return (f'<p role="status">Saved <code>{text(str(files.picture))}</code> and its latent, '
            f"<code>{text(files.latent.name)}</code>. To draw it again:</p>"
            f'<pre>{text(files.command)}</pre>')


def failed(reason: str) -> str:
    return f'<p role="alert">Not saved. {text(reason)}</p>'


def _image(painter: Renderer, sight: ImageSpec, words: str) -> str:
    """Its script fetches it when its turn comes."""
    source = text(f"{IMAGE_PATH}?{format_query(sight)}&network={painter.fingerprint}")
    return f'<img data-src="{source}" alt="{text(words)}" draggable="false">'


def _measures(painter: Renderer) -> str:
    """For the style sheet: size of the largest picture, in px, and how it is enlarged."""
    size = painter.size(painter.levels[-1])
    ways = ["pixelated" if max(size) <= most else "auto" for most in (REPEATED, REPEATED_SMALL)]
    return (f"--width: {size.width}; --height: {size.height}; --rendering: {ways[0]}; "
            f"--tile-rendering: {ways[1]}")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
