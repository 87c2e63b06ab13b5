"""Classify the files of a source that are not imported, and describe remedies."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from progan.data.importers.pixels import list_image_extensions
from progan.runtime.text import escape_controls, format_count, pluralize


@dataclass(frozen=True, slots=True)
class FileKind:
    noun: str
    plural: str | None = None  # the noun and an s if not given
    remedy: str = ""  # a sentence: how to have such files imported
    loses_images: bool = False  # they seem to be images, and the dataset will lack them


@dataclass(frozen=True, slots=True)
class IgnoredFile:
    """A file, or a folder with all that is in it, that is not imported."""

    path: str
    kind: FileKind


HEIF = FileKind(
    "HEIC, HEIF or AVIF image",
    remedy="Convert such files to JPEG or PNG first, for "
    "example with ImageMagick: magick mogrify -format png FILES.",
    loses_images=True,
)
RAW = FileKind(
    "camera RAW image", remedy="Develop such files to TIFF, PNG or JPEG first.", loses_images=True
)
FOREIGN = FileKind(
    "image in a format that is not decoded",
    "images in formats that are not decoded",
    "Convert such files to PNG first.",
    loses_images=True,
)
UNNAMED = FileKind(
    "image without a suffix in its name",
    "images without a suffix in their names",
    "Give such files the suffix of their format, such as .jpg or .png.",
    loses_images=True,
)
MISNAMED = FileKind(
    "image with an unknown suffix",
    "images with an unknown suffix",
    "Give such files the suffix of their format, such as .jpg or .png.",
    loses_images=True,
)
VIDEO = FileKind(
    "video", remedy="Extract frames first, for example with ffmpeg -i VIDEO frames/%05d.png."
)
PACKED = FileKind(
    "archive inside the source",
    "archives inside the source",
    "Unpack such files first, if there are images in them.",
)
HIDDEN = FileKind(
    "hidden file or folder",
    "hidden files and folders",
    "Rename such files if they are to be imported.",
)
MACOS = FileKind("file or folder of macOS metadata", "files and folders of macOS metadata")
SPECIAL = FileKind(
    "pipe, socket or device", "pipes, sockets or devices", "Only regular files are read."
)
SPARSE = FileKind(
    "sparse member of the tar file",
    "sparse members of the tar file",
    "Pack the files without --sparse (-S).",
    loses_images=True,
)
REPEATED_LINK = FileKind(
    "link to a folder that is imported already", "links to folders that are imported already"
)
OUTSIDE = FileKind(
    "zip member with '..' in its path",
    "zip members with '..' in their paths",
    "Unpack the zip file and pack it again without such paths.",
    loses_images=True,
)
REPLACED = FileKind(
    "zip member that a later one of the same name replaces",
    "zip members that later ones of the same name replace",
    "Rename one of each pair, if they are different images.",
    loses_images=True,
)
ZIP_LINK = FileKind(
    "symbolic link in the zip file",
    "symbolic links in the zip file",
    "Pack the files themselves: zip without --symlinks.",
    loses_images=True,
)
OUTSIDE_TAR = FileKind(
    "tar member with an absolute path or '..' in it",
    "tar members with absolute paths or '..' in them",
    "Pack the files again with relative paths.",
    loses_images=True,
)
REPLACED_IN_TAR = FileKind(
    "tar member that a later one of the same name replaces",
    "tar members that later ones of the same name replace",
    "Rename one of each pair, if they are different images.",
    loses_images=True,
)
TAR_LINK = FileKind(
    "link in the tar file",
    "links in the tar file",
    "Pack the files themselves: tar --dereference --hard-dereference.",
    loses_images=True,
)
CLASS = FileKind(
    "class of a WebDataset sample",
    "classes of WebDataset samples",
    "create-from-webdataset imports them as labels.",
)
OTHER = FileKind("file that is not an image", "files that are not images")

_KINDS_OF_SUFFIXES = {
    HEIF: ".heic .heif .heics .heifs .hif .avif .avifs .avci",
    RAW: ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .kdc .mef .mos .mrw .nef .nrw "
    ".orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    FOREIGN: ".ai .cdr .clip .cin .dpx .emf .eps .exr .hdr .jls .jng .jxl .jxr .kra .mng .ora .pam "
    ".pct .pdn .pic .pict .psb .svg .svgz .tgs .wdp .wmf .xcf",
    CLASS: ".cls",
    VIDEO: ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv",
    PACKED: ".7z .bz2 .gz .rar .tar .tbz2 .tgz .txz .xz .zip .zst",
    # Such files lie beside images by the million: a look into each would take long.
    OTHER: ".aae .bin .cfg .csv .db .doc .docx .h5 .hdf5 .htm .html .ini .ipynb .json .jsonl .lnk "
    ".log .lst .mat .md .md5 .mdb .npy .npz .parquet .pdf .pickle .pkl .pt .pth .py "
    ".safetensors .sh .sha256 .tfrecord .tfrecords .tsv .txt .url .xlsx .xml .xmp .yaml "
    ".yml",
}
KIND_OF_SUFFIX = {
    suffix: kind for kind, text in _KINDS_OF_SUFFIXES.items() for suffix in text.split()
}
SIGNATURE_BYTES = 16  # at the beginning of a file, enough to recognise the usual formats
_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
    b"8BPS",
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")


@cache
def _list_imported_suffixes() -> frozenset[str]:
    # Pillow reads these files of stereo cameras as JPEG, and so does not list their suffix.
    return frozenset({*list_image_extensions(), ".mpo"})


def normalize_member_path(name: str) -> str:
    """Return the path of a member below the root of the tree: './a//b.png' -> 'a/b.png'.

    Absolute paths lose their root. Nothing is ever unpacked, so that they do no harm.
    """
    name = re.sub(r"^[A-Za-z]:/", "", name)
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_image_path(path: str) -> bool:
    """Check by its suffix if a file is imported."""
    return _get_suffix(path) in _list_imported_suffixes()


def is_hidden(path: str) -> bool:
    """Check if a part of a path begins with a dot, or is a folder that macOS adds to zip files."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def classify_hidden(path: str) -> FileKind:
    """Return the kind of a hidden path: metadata that macOS adds to archives, or another."""
    hidden = next(part for part in path.split("/") if is_hidden(part))
    is_macos = hidden in ("__MACOSX", ".DS_Store") or hidden.startswith("._")
    return MACOS if is_macos else HIDDEN


def split_hidden(paths: Iterable[Path], root: Path) -> tuple[list[Path], list[IgnoredFile]]:
    """Return the files below a folder that are not hidden in it, and those that are."""
    shown, hidden = [], []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if is_hidden(name):
            hidden.append(IgnoredFile(name, classify_hidden(name)))
        else:
            shown.append(path)
    return shown, hidden


def classify_file(path: str, read_start: Callable[[str], bytes]) -> FileKind:
    """Return the kind of a file that is not imported.

    Args:
        read_start: Path -> first bytes of the file. Called only if the suffix says nothing.
    """
    suffix = _get_suffix(path)
    if suffix in KIND_OF_SUFFIX:
        return KIND_OF_SUFFIX[suffix]
    start = read_start(path)
    if is_heif(start):
        return HEIF
    if start.startswith(_SIGNATURES) or (start[:4], start[8:12]) == (b"RIFF", b"WEBP"):
        return MISNAMED if suffix else UNNAMED
    return OTHER


def is_heif(start: bytes) -> bool:
    """Check by its first bytes if a file is HEIC, HEIF or AVIF."""
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS


def describe_ignored(ignored: Iterable[IgnoredFile]) -> list[str]:
    """Return a sentence for each kind: how many, which, and what to do about them."""
    by_kind: dict[FileKind, list[str]] = {}
    for item in ignored:
        by_kind.setdefault(item.kind, []).append(item.path)
    kinds = sorted(by_kind, key=lambda kind: (not kind.loses_images, kind is OTHER))
    return [_describe_ignored_kind(kind, by_kind[kind]) for kind in kinds]


def _describe_ignored_kind(kind: FileKind, paths: Sequence[str]) -> str:
    """Return a sentence: how many files of a kind are ignored, which, and the remedy."""
    if kind is OTHER:  # with their five most frequent suffixes
        suffixes = Counter(_get_suffix(path) or "without a suffix" for path in paths)
        which = " ".join(suffix for suffix, _ in suffixes.most_common(5))
    else:
        which = paths[0] if len(paths) == 1 else f"such as {paths[0]}"
    count = format_count(len(paths), kind.noun, kind.plural)
    ignored = f"{pluralize(len(paths), 'is', 'are')} ignored ({escape_controls(which)})."
    return f"{count} {ignored} {kind.remedy}".rstrip()


def _get_suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
