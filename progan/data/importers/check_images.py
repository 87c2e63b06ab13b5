"""Decode every image of a folder, zip or tar file; list all problems and what mends them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from tqdm import tqdm

from progan.data.image_source import UnreadableImage
from progan.data.importers.color import (
    BitDepth,
    describe_white_level_fault,
    find_partial_range,
    find_peak,
)
from progan.data.importers.file_source import FileSource, open_file_source
from progan.data.importers.ignored_files import IgnoredFile, describe_ignored
from progan.data.importers.image_headers import PROGRESS_BAR, read_header
from progan.data.importers.images import (
    CONSTANT,
    describe_oversize,
    exclude_label_file,
    find_duplicates,
    is_constant,
)
from progan.data.importers.labels import find_label_faults
from progan.data.importers.pixels import load_upright, reduce_to_8_bits
from progan.data.importers.remote import Url
from progan.runtime.text import format_count
from progan.runtime.workers import map_in_order, worker_pool
from progan.sizes import MIN_LEVEL, Size

T = TypeVar("T")
Severity = Literal["error", "warning", "note"]

UNLABELED = "lies in no folder of a class, while others do"  # so that no image gets a label
SKIP = "repair or replace it, or leave it out with --on-error skip"
CONVERT = "nothing to do: create-from-images converts it"
REMEDIES = {
    "unreadable": SKIP,
    "huge": "shrink it first, if you trust it: so many pixels may be an attack",
    "constant": "remove it, or use --on-error skip: there is nothing to learn from one colour",
    "duplicate": "remove one of them, or leave the later ones out with --on-error skip",
    "size": "choose the --resolution or --size and --crop for the others, or remove it",
    "tiny": "remove it, or choose a --resolution, to which it is enlarged",
    "small": "choose a smaller --resolution or --size, or it is enlarged",
    "kind": "create-from-images needs --channels 1, 3 or 4, which makes all images alike",
    "alpha": "--channels 4 keeps its transparency, --channels 3 lays it on --alpha-color",
    "palette": CONVERT,
    "CMYK": CONVERT,
    "16-bit": CONVERT,
    "LAB": CONVERT,
    "profile": "nothing to do: create-from-images converts it to sRGB",
    "profile-ignored": "repair the profile, or convert the image to sRGB, if its colours matter",
    "gamma": "convert the image to sRGB, if its colours matter",
    "white-level": "name the value that becomes white for create-from-images with --white-level",
    "dark": "scale them as said, or they make dark images",
    "frames": "nothing to do, if the first frame is wanted: create-from-images takes it",
    "metadata": "nothing to do: create-from-images takes the pixels alone",
    "rotated": "nothing to do: create-from-images turns it upright",
    "label": "move it into a folder named after its class, or use --labels none",
}
# An error loses something: create-from-images stops, or leaves out an image, or all labels.
ERRORS = {"unreadable", "huge", "kind", "label", "white-level", "tiny"}
# What is neither an error nor a note is a warning.
NOTES = {"alpha", "palette", "CMYK", "LAB", "16-bit", "profile", "frames", "metadata", "rotated"}
KINDS = {1: "grey", 3: "colour", 4: "transparent"}
COMMON = 0.9  # share of the images that makes the others exceptions


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """A problem of one image; `kind` is a key of REMEDIES."""

    path: str
    kind: str
    detail: str

    @property
    def remedy(self) -> str:
        return REMEDIES[self.kind]

    @property
    def severity(self) -> Severity:
        if self.kind in ERRORS:
            return "error"
        return "note" if self.kind in NOTES else "warning"


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """Problems and kind of one image; size (0, 0) and 0 channels if it is unreadable."""

    path: str
    digest: str
    size: tuple[int, int]  # width, height in px, upright
    channels: int
    problems: tuple[ImageProblem, ...]
    depth: BitDepth = ""
    peak: float = 0.0  # largest value of an image with a depth


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All problems of a source.

    Attributes:
        problems: In the order of the images.
        ignored: Files that are not imported.
        label_fault: Why its label file cannot label all images, for people; '' if it can.
    """

    count: int
    problems: tuple[ImageProblem, ...]
    ignored: tuple[IgnoredFile, ...] = ()
    label_fault: str = ""

    @property
    def loses_something(self) -> bool:
        """True if create-from-images would stop, or lose an image or all labels."""
        return (
            bool(self.label_fault)
            or any(problem.severity == "error" for problem in self.problems)
            or any(item.kind.loses_images for item in self.ignored)
        )


def check_images(source: Path | Url, *, size: Size | None, workers: int) -> CheckReport:
    """Decode every image below `source`; raises UserError without any.

    Args:
        size: Size of the dataset to make; None: nothing is too small.
        workers: Threads that decode.
    """
    tree, paths, ignored = open_file_source(source)
    with worker_pool(workers, in_processes=False) as pool:
        checked = map_in_order(pool, lambda path: check_image(tree, path), paths, ahead=4 * workers)
        found = list(tqdm(checked, total=len(paths), **PROGRESS_BAR))
    label_fault, unlabeled = find_label_faults(tree, paths)
    problems = [
        *(problem for item in found for problem in item.problems),
        *find_duplicate_problems(found),
        *find_dark_images(found),
        *find_outliers(found),
        *find_small_images(found, size),
        *(ImageProblem(path, "label", UNLABELED) for path in unlabeled),
    ]
    order = {path: number for number, path in enumerate(paths)}
    return CheckReport(
        len(paths),
        tuple(sorted(problems, key=lambda item: order[item.path])),
        tuple(exclude_label_file(ignored, source, "auto")),
        label_fault,
    )


def check_image(tree: FileSource, path: str) -> CheckedImage:
    """Decode one image as create-from-images does, and list the problems of it alone."""
    digest = ""
    try:
        data = tree.read(path)
        found = read_header(data, path)
        digest = found.digest
        if reason := describe_oversize(found.width, found.height):
            return CheckedImage(path, digest, (0, 0), 0, (ImageProblem(path, "huge", reason),))
        upright = load_upright(data, path)
        fault = describe_white_level_fault(upright, None)
    except UnreadableImage as error:
        kind = "huge" if "decompression bomb" in error.reason else "unreadable"
        return CheckedImage(path, digest, (0, 0), 0, (ImageProblem(path, kind, error.reason),))
    problems = [
        ImageProblem(path, note.kind, note.detail) for note in found.notes if note.kind in REMEDIES
    ]
    if fault:
        problems.append(ImageProblem(path, "white-level", fault))
    elif is_constant(reduce_to_8_bits(upright)):
        problems.append(ImageProblem(path, "constant", CONSTANT))
    if path.lower().endswith(".mpo") and not any(each.kind == "frames" for each in problems):
        problems.append(ImageProblem(path, "frames", "has one view, though its name says several"))
    peak = find_peak(upright) if found.depth else 0.0
    return CheckedImage(
        path, digest, upright.size, found.channels, tuple(problems), found.depth, peak
    )


def find_dark_images(images: Sequence[CheckedImage]) -> Iterator[ImageProblem]:
    """Yield the 16-bit images of a set that uses only the lower bits."""
    kinds: tuple[BitDepth, ...] = ("grey", "colour")
    for kind in kinds:
        peaks = {item.path: item.peak for item in images if item.depth == kind}
        if (found := find_partial_range(kind, peaks)) is not None:
            for path in found.paths:
                yield ImageProblem(path, "dark", f"{found.explanation}; {found.remedy}")


def find_duplicate_problems(images: Sequence[CheckedImage]) -> Iterator[ImageProblem]:
    """Yield the files with the content of an earlier one."""
    found = find_duplicates((item.path, item.digest) for item in images if item.channels)
    yield from (ImageProblem(path, "duplicate", detail) for path, detail in found.items())


def find_outliers(images: Sequence[CheckedImage]) -> Iterator[ImageProblem]:
    """Yield the images of another size than nearly all others, or of another kind than most."""
    readable = [item for item in images if item.channels]
    size = _find_dominant_value([item.size for item in readable], COMMON)
    channels = _find_dominant_value([item.channels for item in readable], 0)
    for item in readable:
        if size and item.size != size:
            detail = f"{item.size[0]}x{item.size[1]}, while most images are {size[0]}x{size[1]}"
            yield ImageProblem(item.path, "size", detail)
        if channels and item.channels != channels:
            detail = f"{KINDS[item.channels]}, while most images are {KINDS[channels]}"
            yield ImageProblem(item.path, "kind", detail)


def find_small_images(
    images: Sequence[CheckedImage], wanted: Size | None
) -> Iterator[ImageProblem]:
    """Yield the images with fewer pixels than `wanted`, or than the smallest that is possible."""
    for item in images:
        width, height = item.size
        if item.channels and not wanted and min(width, height) < 1 << MIN_LEVEL:
            yield ImageProblem(item.path, "tiny", f"{width}x{height} pixels")
        if wanted and item.channels and (width < wanted.width or height < wanted.height):
            yield ImageProblem(item.path, "small", f"{width}x{height} is less than {wanted}")


def _find_dominant_value(values: Sequence[T], share: float) -> T | None:
    """Return the most frequent value if `share` of all have it, but not all; else None."""
    if not values:
        return None
    value, count = Counter(values).most_common(1)[0]
    return value if share * len(values) <= count < len(values) else None


def format_report(source: Path | Url, report: CheckReport) -> str:
    """Format the report for people: each problem with its remedy, and the count of each kind."""
    counts = Counter(problem.kind for problem in report.problems)
    lines = []
    for kind, count in counts.most_common():
        lines += [f"{kind} ({count}): {REMEDIES[kind]}"]
        lines += [
            f"  {problem.path}: {problem.detail}"
            for problem in report.problems
            if problem.kind == kind
        ]
    for kind_ignored in dict.fromkeys(item.kind for item in report.ignored):
        items = [item for item in report.ignored if item.kind is kind_ignored]
        lines += describe_ignored(items)
        lines += [f"  {item.path}" for item in items] * kind_ignored.loses_images
    lines += [report.label_fault] if report.label_fault else []
    return "\n".join([*lines, f"{source}: {_format_summary(report)}"])


def _format_summary(report: CheckReport) -> str:
    """Return '4 images, no problems.', or how many problems of each severity there are."""
    images = format_count(report.count, "image")
    lost = sum(item.kind.loses_images for item in report.ignored)
    ignored = f"; {format_count(lost, 'other image')} ignored" if lost else ""
    if not report.problems:
        labels = ", labels missing" if report.label_fault else ", no problems"
        return f"{images}{ignored or labels}."
    counts = Counter(problem.severity for problem in report.problems)
    found = ", ".join(
        format_count(counts[severity], severity)
        for severity in get_args(Severity)
        if counts[severity]
    )
    troubled = len({problem.path for problem in report.problems})
    return f"{images}, {troubled:,} of them with {found}{ignored}."


def report_to_json(source: Path | Url, report: CheckReport) -> str:
    """Format the report as JSON: problems of the images, and files that are not imported."""
    document = {
        "source": str(source),
        "images": report.count,
        "problems": [
            {key: getattr(item, key) for key in ("path", "kind", "severity", "detail", "remedy")}
            for item in report.problems
        ],
        "label_fault": report.label_fault,
        "ignored": [
            {
                "path": item.path,
                "kind": item.kind.noun,
                "remedy": item.kind.remedy,
                "loses_images": item.kind.loses_images,
            }
            for item in report.ignored
        ],
    }
    return json.dumps(document, indent=1) + "\n"
