"""Which class labels the images of a folder or zip file get: by a table or by their folders."""

from collections.abc import Callable, Sequence
from pathlib import Path

from progan.data.importers.label_tables import (
    STYLEGAN_FILE,
    LabelTable,
    read_table,
    stranger_notes,
    stylegan_table,
    table_labels,
)
from progan.data.importers.labels import Labels, composition_notes, folder_labels
from progan.data.importers.spellings import case_notes
from progan.data.importers.tree import Tree
from progan.errors import UserError
from progan.runtime.text import format_count

Say = Callable[[str], None]


def labels_of_images(
    tree: Tree, paths: Sequence[str], all_paths: Sequence[str], wish: str, say: Say,
    num_taken: int | None = None, seed: int | None = None,
) -> Labels:
    """Label `paths`, a part of `all_paths`, as `--labels` wishes.

    Args:
        wish: 'none'; 'folders'; a file, .csv, .tsv or .json; or 'auto': dataset.json in the
            root of the tree if there is one with labels, else folders if all images are in such.
        num_taken: How many images were asked for, of which `paths` can be read; None: all.
        seed: What they were drawn with; None: they are the first ones.

    Raises:
        UserError: The wish cannot be met, or an image has no label in the table.
    """
    if wish == "none":
        return Labels(None, ())
    table = _table(tree, wish, all_paths)
    if table is None:
        found = folder_labels(paths, all_paths)
        if found.labels is None and wish == "folders":
            raise UserError("--labels folders needs every image in a folder named after its class, "
                            "and at least two such folders. Sort the images so, or use --labels "
                            "none.")
        in_source = _used(folder_labels(all_paths, all_paths))
        notes, where = composition_notes(all_paths), "the names of the folders"
    else:
        found, where = table_labels(table, paths), table.where
        notes, in_source = [*table.notes, *stranger_notes(table)], set(table.class_of.values())
    if found.labels is not None:
        say(f"{format_count(len(found.names), 'label')} from {where} "
            "(--labels none leaves them out).")
        num_taken = len(all_paths) if num_taken is None else num_taken
        advice = _advice(num_taken, len(all_paths), len(in_source), seed)
        for line in [*notes, *case_notes(found.names), *_missed(found, in_source, advice)]:
            say(line)
    return found


def _table(tree: Tree, wish: str, paths: Sequence[str]) -> LabelTable | None:
    if wish not in ("auto", "folders"):
        return read_table(Path(wish), paths)
    if wish == "auto" and tree.has(STYLEGAN_FILE):
        return stylegan_table(tree.read(STYLEGAN_FILE), STYLEGAN_FILE, paths)
    return None


def _missed(found: Labels, in_source: set[int], advice: str) -> list[str]:
    """A line if classes of the source have no image among those that are taken."""
    num_missed = len(in_source - _used(found))
    have = "has" if num_missed == 1 else "have"
    classes = format_count(num_missed, "class", "classes")
    return [f"{classes} of the source {have} no image among those "
            f"taken: {advice}"] if num_missed else []


def _advice(num_taken: int, num_images: int, num_classes: int, seed: int | None) -> str:
    """Why classes of the source may be missing, or what takes images of them."""
    if num_taken == num_images:
        return "their images cannot be read."
    if seed is None and num_taken >= num_classes:
        return "--seed 0 takes images from all over the source."
    return "take more images with --max-images."


def _used(labels: Labels) -> set[int]:
    return set() if labels.labels is None else set(labels.labels.tolist())
