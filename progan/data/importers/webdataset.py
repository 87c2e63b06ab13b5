"""Images in shards of WebDataset -> ImageSource.

Shards are tar files. The members of a sample have the same path up to the first dot of its last
part: 0001.jpg, 0001.cls, 0001.json. The class is the number or text in .cls, or a value in .json.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource
from progan.data.importers.file_source import make_natural_sort_key
from progan.data.importers.ignored_files import (
    OTHER,
    IgnoredFile,
    describe_ignored,
    is_image_path,
    split_hidden,
)
from progan.data.importers.images import ImageOptions, import_tree
from progan.data.importers.label_arrays import Labels, labels_from_array, labels_from_names
from progan.data.importers.labels import (
    collect_used_classes,
    describe_missing_classes,
    read_label_member,
)
from progan.data.importers.remote import Url, copy_all_to_temporary, copy_to_temporary, name_by_url
from progan.data.importers.tar_source import TAR_SUFFIXES, TarSource, is_tar_name, open_tar
from progan.errors import UserError
from progan.runtime.text import PrintLine, format_count

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, slots=True)
class ShardedSource:
    """Shards as one tree; the path of a member begins with the name of its shard."""

    shards: dict[str, TarSource]

    def read(self, path: str) -> bytes:
        shard, member = path.split("/", 1)
        return self.shards[shard].read(member)

    def has(self, path: str) -> bool:
        shard, _, member = path.partition("/")
        return shard in self.shards and self.shards[shard].has(member)


def import_webdataset(
    source: Path | Url,
    options: ImageOptions,
    print_line: PrintLine,
    *,
    image_key: str | None = None,
    label_key: str | None = None,
) -> ImageSource:
    """Read the images in a shard, in all of a folder, or in those of 'shard-{000..031}.tar'.

    Args:
        image_key: Extension of the images, needed if a sample has several.
        label_key: Key of the .json of a sample that is its class; 'none' for no labels. If not
            given, .cls is, where every sample has one.

    Raises:
        UserError: No such files, several images in a sample, or samples without a label.
    """
    tree, ignored = _open_shards(source)
    by_key = _find_images(tree)
    key = _choose_image_key(by_key, image_key, source)
    others = [path for other, paths in by_key.items() if other != key for path in paths]
    for line in describe_ignored([*ignored, *(IgnoredFile(path, OTHER) for path in others)]):
        print_line(line)
    paths = by_key[key]
    print_line(
        f"{format_count(len(tree.shards), 'shard')} with {format_count(len(paths), 'sample')}."
    )

    def label(kept: Sequence[str], num_taken: int) -> Labels:
        labels, in_source = _read_labels(tree, kept, paths, label_key, print_line)
        for line in describe_missing_classes(
            labels, in_source, num_taken, len(paths), options.seed
        ):
            print_line(line)
        return labels

    return import_tree(source, tree, paths, label, options, print_line)


def _open_shards(source: Path | Url) -> tuple[ShardedSource, list[IgnoredFile]]:
    """Open all shards; return them, and what is left out of them whatever it is."""
    paths, ignored = _list_shards(source)
    shards = {}
    for name, path in zip(_make_distinct_names(paths), paths, strict=True):
        with name_by_url(path, source):
            shards[name], left_out = open_tar(path)
        ignored += [IgnoredFile(f"{name}/{item.path}", item.kind) for item in left_out]
    return ShardedSource(shards), ignored


def _make_distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the file names of shards, all of them numbered if any occurs twice."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{number}:{name}" for number, name in enumerate(names)]


def _list_shards(source: Path | Url) -> tuple[list[Path], list[IgnoredFile]]:
    """Return the shards that a file, a folder with all below it, or a pattern names, in order.

    Those of another machine are copied. Hidden ones in a folder are left out, and returned too.
    """
    if isinstance(source, Url):
        if is_tar_name(source.name):
            return [copy_to_temporary(Url(name)) for name in _expand_ranges(source.address)], []
        source = copy_all_to_temporary(source, TAR_SUFFIXES)
    if source.is_dir():
        found, hidden = split_hidden(
            (path for path in source.rglob("*") if is_tar_name(path.name) and path.is_file()),
            source,
        )
        if not found:
            raise UserError(f"No tar files in {source}. Name a folder of shards, or one.")
        found.sort(key=lambda path: make_natural_sort_key(str(path.relative_to(source))))
        return found, hidden
    if source.is_file():
        return [source], []
    named = [source.with_name(name) for name in _expand_ranges(source.name)]
    if missing := [path for path in named if not path.is_file()]:
        more = f", and {len(missing) - 1} more" * (len(missing) > 1)
        raise UserError(
            f"--source {missing[0]} does not exist{more}. Name a tar file, a folder of these, or "
            "a pattern such as shard-{000..031}.tar."
        )
    return named, []


def _expand_ranges(name: str) -> Iterator[str]:
    """Yield the names that 'a-{000..002}.tar' stands for: numbers as wide as the first one."""
    match = _RANGE.search(name)
    if match is None:
        yield name
        return
    for number in range(int(match[1]), int(match[2]) + 1):
        text = str(number).zfill(len(match[1]))
        yield from _expand_ranges(name[: match.start()] + text + name[match.end() :])


def _split_key(path: str) -> tuple[str, str]:
    """Return the path of the sample and the extension of 'a/0.seg.png': 'a/0' and 'seg.png'."""
    folder, slash, name = path.rpartition("/")
    base, _, extension = name.partition(".")
    return folder + slash + base, extension.lower()


def _find_images(tree: ShardedSource) -> dict[str, list[str]]:
    """Return the paths of all images by their extension, in the order of the shards."""
    found: dict[str, list[str]] = {}
    for shard, source in tree.shards.items():
        for member in source.members:
            if is_image_path(member):
                found.setdefault(_split_key(member)[1], []).append(f"{shard}/{member}")
    return found


def _choose_image_key(found: dict[str, list[str]], wanted: str | None, source: Path | Url) -> str:
    """Return the extension of the images; raises UserError if it is not clear."""
    counts = ", ".join(f"{key} ({len(paths):,})" for key, paths in found.items())
    if not found:
        raise UserError(f"No images in the shards of {source}. Name shards of images.")
    if wanted is None and len(found) == 1:
        return next(iter(found))
    if wanted is not None and wanted.lstrip(".").lower() in found:
        return wanted.lstrip(".").lower()
    if wanted is not None:
        raise UserError(f"No sample has an image .{wanted.lstrip('.')}. There are: {counts}.")
    raise UserError(
        f"Samples have images of several extensions: {counts}. Name one with --image-key."
    )


def _read_labels(
    tree: ShardedSource,
    paths: Sequence[str],
    all_paths: Sequence[str],
    label_key: str | None,
    print_line: PrintLine,
) -> tuple[Labels, set[int]]:
    """Return the labels of `paths`, a part of `all_paths`, and the classes of all that have one.

    Numbers are class indices, text is sorted; a part of a source has the classes of the whole.
    """
    if label_key == "none":
        return Labels(None, ()), set()
    extension = "cls" if label_key is None else "json"

    def get_label_member(path: str) -> str:
        return f"{_split_key(path)[0]}.{extension}"

    lacking = [path for path in paths if not tree.has(get_label_member(path))]
    if lacking and label_key is None:
        if len(lacking) < len(paths):
            print_line(f"No labels: {len(lacking):,} of {len(paths):,} samples have no .cls.")
        return Labels(None, ()), set()
    if lacking:
        raise UserError(
            f"{get_label_member(lacking[0])} is missing, which --label-key {label_key} is read "
            "from."
        )
    labeled = [path for path in all_paths if tree.has(get_label_member(path))]
    values = [
        _parse_label(read_label_member(tree, member), member, label_key)
        for member in map(get_label_member, labeled)
    ]
    where = ".cls" if label_key is None else f"{label_key!r} of .json"
    indices = [value for value in values if isinstance(value, int)]
    if len(indices) == len(values):
        of_all = labels_from_array(np.array(indices), len(values), where)
    else:
        of_all = labels_from_names([str(value) for value in values])
    count = format_count(len(of_all.names), "label")
    print_line(f"{count} from {where} (--label-key none leaves them out).")
    assert of_all.labels is not None
    taken = _select_labels(of_all.labels, labeled, paths)
    return Labels(taken, of_all.names), collect_used_classes(of_all)


def _select_labels(
    labels: npt.NDArray[np.int64], all_paths: Sequence[str], paths: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Select the labels of `paths`, which are in the order of `all_paths`."""
    rest = iter(enumerate(all_paths))
    rows = [next(row for row, other in rest if other == path) for path in paths]
    return labels[rows]


def _parse_label(content: bytes, member: str, label_key: str | None) -> int | str:
    """Return the label in a .cls, or under a key of a .json; raises UserError."""
    try:
        text = content.decode("utf-8").strip()
        value: Any = text if label_key is None else json.loads(text)[label_key]
    except (ValueError, KeyError, TypeError) as error:
        what = "no text" if label_key is None else f"no {label_key!r}"
        raise UserError(f"{member} has {what}: {error!r}.") from error
    if isinstance(value, str) and re.fullmatch(r"\d{1,7}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise UserError(f"{member}: {value!r} is not a label. Labels are whole numbers or text.")
    if isinstance(value, int) and value < 0:
        raise UserError(f"{member}: {value} is not a class.")
    return value
