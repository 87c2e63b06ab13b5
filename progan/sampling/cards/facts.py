"""What a card tells, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass

from progan.config import Run
from progan.sampling.network_file import Snapshot
from progan.sizes import Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """What a network was trained on.

    Attributes:
        name: Of the dataset, without the place where it lies: disks are private.
        count: Images that training has seen.
        held_out: Images that it has not.
        size: As they are stored.
    """

    name: str
    count: int
    held_out: int
    size: Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a metric has found of a snapshot.

    Attributes:
        images_seen: By the snapshot, which may be an earlier one of the run.
        num_images: How many pictures were compared; None if it is not known.
        values, reals: By column, of pictures and of reals against reals.
    """

    images_seen: int
    num_images: int | None
    values: Mapping[str, float]
    reals: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How a network came to be.

    Attributes:
        software: Versions.
        machine: Devices and processes of the session that wrote the card.
        seconds: Of training up to then; None if it is not known.
        verdict: Of the training diagnostics at that time; '' if there is none.
    """

    run: Run
    images: Images
    software: str
    machine: str
    seconds: float | None
    measured: tuple[Measured, ...] = ()
    verdict: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file that another one was made of.

    Attributes:
        name: Without the place.
        told: What its card says of its training, in Markdown; '' if it has none.
    """

    name: str
    sha256: str
    told: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """All that is known of a network file.

    Attributes:
        file: Its name, without the place.
        sha256: Of its content, in hexadecimal.
        snapshot: What is in it; of the generator only settings and shapes count.
        training: None if it is not known.
        source: What it was made of by a conversion.
    """

    file: str
    sha256: str
    snapshot: Snapshot
    training: Training | None = None
    source: Source | None = None
