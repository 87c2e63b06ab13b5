"""A card as Markdown, with the front matter that Hugging Face's hub reads."""

from collections.abc import Iterator

from progan.invocation import command
from progan.sampling.cards.facts import Card, Measured, Training
from progan.sampling.cards.markdown import block, code, items, plain, table
from progan.sampling.cards.recipe import of_images, of_training
from progan.sampling.cards.use import use
from progan.sampling.conventions import conventions
from progan.sampling.network_file import SUFFIX

MOST_CLASSES = 50  # that are named
MEASURABLE = (SUFFIX, ".pkl", ".pth", ".npz")  # what metrics read; exports they do not
HEADINGS = ("metric", "value", "reals against reals", "pictures", "kimg")
# Nothing in it comes from outside: YAML has more ways to be broken than this needs.
FRONT_MATTER = """\
---
library_name: progan
pipeline_tag: unconditional-image-generation
tags:
- progan
- gan
- image-generation
- pytorch
# license: to be chosen by the owner; see the end of this card
---"""
TRAINED_ON, USE = "## What it was trained on", "## How to use it"
MEASURED = ("Pictures that nobody could tell from the training images would have what stands under "
            "“reals against reals”.")
LICENCE = ("No licence was chosen for this file yet. That is for its owner, who writes `license:` "
           "at the top of this card: it depends on the licence of the training images, and on "
           "what people who are on them have agreed to.")


def told_of_training(text: str) -> str:
    """What the text of a card says of the training; '' if it says nothing."""
    _, found, rest = text.partition(f"{TRAINED_ON}\n")
    told, ended, _ = rest.partition(f"\n{USE}\n")
    return f"{TRAINED_ON}\n{told}".strip() if found and ended else ""


def page(card: Card) -> str:
    """The whole text of a card."""
    return "\n\n".join([FRONT_MATTER, *_parts(card)]) + "\n"


def _parts(card: Card) -> Iterator[str]:
    yield f"# {_title(card)}"
    yield _summary(card)
    yield "## What it is"
    yield items(_contents(card))
    if card.training:
        yield from _training(card, card.training)
    elif card.source and card.source.told:
        yield card.source.told
        yield f"So says the card of {code(card.source.name)}."
    else:
        yield "## What it was trained on, how, and how well"
        yield ("The file that this one was made of does not tell. If it has a card of its own, "
               "look there.")
    yield USE
    yield use(card)
    yield "## What it cannot"
    yield _limits(card)
    yield "## Licence"
    yield LICENCE


def _title(card: Card) -> str:
    size = card.snapshot.generator.config.size(card.snapshot.level)
    trained_on = f", trained on {code(card.training.images.name)}" if card.training else ""
    return f"A generator of {size} images{trained_on}"


def _summary(card: Card) -> str:
    config = card.snapshot.generator.config
    origin = "trained it and wrote this card" if card.training else "converted it from another file"
    return ("The generator of a GAN (generative adversarial network): it makes pictures of "
            f"{config.size(card.snapshot.level)} px, each from {config.latent_size} random "
            f"numbers. progan {origin}.")


def _contents(card: Card) -> Iterator[tuple[str, str]]:
    snapshot = card.snapshot
    config, count = snapshot.generator.config, sum(
        weights.numel() for weights in snapshot.generator.parameters())
    words = conventions(config, snapshot.level, ())
    yield "File", code(card.file)
    if card.source:
        yield "Made of", f"{code(card.source.name)}, SHA-256 {code(card.source.sha256)}"
    yield "Generator", (f"{config.kind}, for images of "
                        f"{config.size(config.max_level)} with {_channels(config.channels)}; "
                        f"{count:,} parameters")
    yield "Trained to", _stage(card)
    yield "Latents", words["latents"]
    yield "Pictures", words["images"]
    yield "Classes", _classes(snapshot.label_names)
    yield "SHA-256", code(card.sha256)


def _channels(count: int) -> str:
    return f"{count} channel{'s' * (count > 1)}"


def _stage(card: Card) -> str:
    snapshot = card.snapshot
    config, level = snapshot.generator.config, snapshot.level
    after = f" after {snapshot.images_seen:,} images" if snapshot.images_seen else ""
    fading = (f". It was still being faded in, at {100 * snapshot.alpha:.0f} %: pictures are a "
              f"blend with those of {config.size(level - 1)}" if snapshot.alpha < 1 else "")
    return f"{config.size(level)}{after}{fading}"


def _classes(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
    return f"{len(names)}: {', '.join(map(code, names[:MOST_CLASSES]))}{more}"


def _training(card: Card, training: Training) -> Iterator[str]:
    yield TRAINED_ON
    yield items(of_images(training.images, training.run))
    yield "## How it was trained"
    yield items(of_training(training, card.snapshot.images_seen))
    yield "All settings are in `config.json` in the directory of the run."
    yield "## How well"
    if training.verdict:
        yield (f"Training diagnostics at that time: {plain(training.verdict)}. They are based on "
               "curves, which do not show whether samples are good.")
    if training.measured:
        yield table(HEADINGS, _rows(training.measured))
        yield MEASURED
    if not any(each.images_seen == card.snapshot.images_seen for each in training.measured):
        yield "This snapshot was not measured. To do it, with the dataset:"
        yield block([_measuring(card.file, "swd", "ms-ssim")])


def _rows(measured: tuple[Measured, ...]) -> Iterator[tuple[str, ...]]:
    for each in measured:
        for column, value in each.values.items():
            reals = each.reals.get(column)
            yield (plain(column), f"{value:.4g}", "" if reals is None else f"{reals:.4g}",
                   "" if each.num_images is None else f"{each.num_images:,}",
                   f"{each.images_seen / 1000:g}")


def _limits(card: Card) -> str:
    return "\n\n".join([
        "Nobody took its pictures. The people, places and things on them do not exist, and they "
        "prove nothing.",
        "It knows what its training images show and no more. What is rare in them is rarer in its "
        "pictures, or missing.",
        "It may copy training images, the more so the fewer they were. With the dataset, this "
        "shows the nearest ones and says whether it does:",
        block([f"{_measuring(_network_file(card), 'neighbours')} --sheet neighbours.png"])])


def _measuring(file: str, *names: str) -> str:
    return command("metrics", *names, "--network", file, "--data", "DATASET", portable=True)


def _network_file(card: Card) -> str:
    """What metrics can read: this file, or the one that it was made of, or else any."""
    names = [card.file, *([card.source.name] if card.source else [])]
    return next((name for name in names if name.endswith(MEASURABLE)), f"NETWORK{SUFFIX}")
