"""Which class labels the images of a folder or zip file get: by a table or by their folders."""

from collections.abc import Callable, Sequence
from pathlib import Path

from progan.data.importers.label_tables import (
    STYLEGAN_FILE,
    LabelTable,
    read_table,
    stylegan_table,
    table_labels,
)
from progan.data.importers.labels import Labels, folder_labels
from progan.data.importers.tree import Tree
from progan.errors import UserError

Say = Callable[[str], None]


def labels_of_images(
    tree: Tree, paths: Sequence[str], all_paths: Sequence[str], wish: str, say: Say
) -> Labels:
    """Label `paths`, a part of `all_paths`, as `--labels` wishes.

    Args:
        wish: 'none'; 'folders'; a file, .csv or .json; or 'auto': dataset.json in the root of
            the tree if there is one with labels, else folders if all images are in such.

    Raises:
        UserError: The wish cannot be met, or an image has no label in the table.
    """
    if wish == "none":
        return Labels(None, ())
    table = _table(tree, wish)
    if table is None:
        found, where = folder_labels(paths, all_paths), "the names of the folders"
        if found.labels is None and wish == "folders":
            raise UserError("--labels folders needs every image in a folder named after its class, "
                            "and at least two such folders. Sort the images so, or use --labels "
                            "none.")
    else:
        found, where = table_labels(table, paths), table.where
    _report(found, where, say)
    return found


def _table(tree: Tree, wish: str) -> LabelTable | None:
    if wish not in ("auto", "folders"):
        return read_table(Path(wish))
    if wish == "auto" and tree.has(STYLEGAN_FILE):
        return stylegan_table(tree.read(STYLEGAN_FILE), STYLEGAN_FILE)
    return None


def _report(found: Labels, where: str, say: Say) -> None:
    if found.labels is None:
        return
    num_used = len(set(found.labels.tolist()))
    say(f"{len(found.names)} labels from {where} (--labels none leaves them out).")
    if num_used < len(found.names):
        say(f"Only {num_used} of them are among the images taken: "
            "--seed 0 takes images from all over the source.")
