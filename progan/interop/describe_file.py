"""Describe a file that is not a supported network, by its content, for error messages."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from progan.errors import UserError
from progan.interop.describe_pickle import (
    OTHER,
    FileDescription,
    describe_pickle,
    describe_scan,
    describe_unknown_weights,
    identify_weights,
    is_legacy_torch,
    scan_pickle_file,
    scan_torch_zip,
)
from progan.run_directory import STATE_PREFIX, STATE_SUFFIX
from progan.runtime.pickle_scan import is_hostile
from progan.runtime.safe_pickle import format_hostile_message
from progan.runtime.text import sanitize_and_truncate_line
from progan.runtime.zip_files import (
    are_members_of_torchscript,
    list_zip_members,
    read_uncompressed_zip_member,
)

READABLE = (
    "progan reads its own network files (.safetensors) and training states (state-*.pt), "
    "networks of the official TensorFlow code of Progressive GAN (.pkl, .npz) and of "
    "pytorch_GAN_zoo's PGAN (.pth)."
)
DOWNLOAD_AGAIN = "Copy or download it again."
UNPACK = "Unpack it, and name the network file that is inside."
EXPORTED = "Name the network file that it was made of."
HEAD_BYTES = 1 << 16  # read from the start
TAIL_BYTES = 1 << 20  # read from the end
MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors
NETWORKS = (".safetensors", ".pkl", ".pth", ".pt", ".ckpt", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Magic(NamedTuple):
    """First bytes of files of a kind."""

    what: str
    start: bytes
    offset: int = 0
    advice: str = ""


MAGICS = (
    Magic("a PNG image", b"\x89PNG\r\n\x1a\n"),
    Magic("a JPEG image", b"\xff\xd8\xff"),
    Magic("a GIF image", b"GIF8"),
    Magic("a WebP image", b"WEBP", 8),
    Magic("a TIFF image", b"II*\0"),
    Magic("a TIFF image", b"MM\0*"),
    Magic("a gzip file", b"\x1f\x8b", 0, UNPACK),
    Magic("a bzip2 file", b"BZh", 0, UNPACK),
    Magic("an xz file", b"\xfd7zXZ\0", 0, UNPACK),
    Magic("a Zstandard file", b"\x28\xb5\x2f\xfd", 0, UNPACK),
    Magic("a tar archive", b"ustar", 257, UNPACK),
    Magic("a 7z archive", b"7z\xbc\xaf\x27\x1c", 0, UNPACK),
    Magic("a RAR archive", b"Rar!\x1a\x07", 0, UNPACK),
    Magic("an HDF5 file, such as Keras writes", b"\x89HDF\r\n\x1a\n"),
    Magic("a NumPy array (.npy)", b"\x93NUMPY"),
    Magic("a PDF document", b"%PDF-"),
    Magic("a GGUF file, of a language model", b"GGUF"),
    Magic("an MP4 video", b"ftyp", 4),
    Magic("a program (ELF)", b"\x7fELF"),
    Magic("an SQLite database", b"SQLite format 3\0"),
)
# First characters of a text in lower case, what the file is, and advice.
# fmt: off
TEXTS = (
    ("version https://git-lfs.github.com/spec/", "is a Git LFS pointer, not the file itself",
     "Run git lfs pull in its repository, or download the file itself."),
    ("/annex/objects/", "is a git-annex pointer, not the file itself",
     "Run git annex get in its repository."),
    ("<?xml", "is an XML file, such as servers send instead of a file that they refuse",
     "Download the file itself."),
)
# fmt: on
HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)", re.I | re.S)


def unreadable_error(path: Path) -> UserError:
    """Return the error for a file that is not a supported network: what it is, and what to do."""
    found = describe_file(path)
    hostile = next(filter(is_hostile, found.names), None)
    if hostile is not None:
        return UserError(format_hostile_message(str(path), hostile))
    advice = [found.advice, READABLE if found.advice in ("", OTHER) else ""]
    return UserError(f"{path} {found.what}. {' '.join(filter(None, advice))}")


def describe_file(path: Path) -> FileDescription:
    """Describe a file, starting with the verb: 'is a PNG image'; no code in it is run."""
    if not path.is_file():
        return FileDescription("is not a regular file", "Name a network file.")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return FileDescription("is empty (0 bytes)", DOWNLOAD_AGAIN)
    return (
        _describe_zip(path, head)
        or _describe_by_magic(head)
        or _describe_safetensors(path, head)
        or _describe_onnx(path, head)
        or _describe_text(head)
        or _describe_pickle_or_none(path, head)
        or _describe_other_text(head)
        or _describe_unknown(path, head)
    )


def _describe_zip(path: Path, head: bytes) -> FileDescription | None:
    if not head.startswith(b"PK\3\4"):
        return None
    names = list_zip_members(path)
    if not names:
        kind = "PyTorch" if b"/data.pkl" in head or b"/version" in head else "ZIP"
        if _is_state_by_name(path):
            return FileDescription(
                "is a training state that is damaged or cut short",
                "Name another one of the run, or one of its network files.",
            )
        return FileDescription(f"is a {kind} file that is damaged or cut short", DOWNLOAD_AGAIN)
    index = next((name for name in names if name.endswith("/data.pkl")), "")
    if are_members_of_torchscript(names):
        return _describe_export(path, names, "TorchScript")
    if any(
        name.endswith(("/archive_format", "/models/model.json", "serialized_exported_program.json"))
        for name in names
    ):
        return _describe_export(path, names, "torch.export")
    return (
        describe_scan(scan_torch_zip(path, index), is_torch=True)
        if index
        else _describe_archive(names)
    )


def _describe_export(path: Path, names: list[str], kind: str) -> FileDescription:
    """Describe a TorchScript or torch.export file, of progan if its metadata says so."""
    prefix = names[0].partition("/")[0]
    software = read_uncompressed_zip_member(path, f"{prefix}/extra/software")
    if not software.startswith(b"progan "):
        return FileDescription(f"is a {kind} program of another project", OTHER)
    source = (
        read_uncompressed_zip_member(path, f"{prefix}/extra/network")
        .decode("utf-8", "replace")
        .partition(" ")[0]
    )
    made_of = f", made of {sanitize_and_truncate_line(source)}" if source else ""
    return FileDescription(f"is a {kind} export of progan for other programs{made_of}", EXPORTED)


def _describe_archive(names: list[str]) -> FileDescription:
    files = [name for name in names if not name.endswith("/")]
    if network := next((name for name in files if name.lower().endswith(NETWORKS)), ""):
        return FileDescription(
            f"is a ZIP archive that holds {sanitize_and_truncate_line(network)}",
            "Unpack it, and name that file.",
        )
    if any(name.lower().endswith(IMAGES) for name in files):
        return FileDescription("is a ZIP archive of images, not a network")
    count = "1 file" if len(files) == 1 else f"{len(files):,} files"
    return FileDescription(f"is a ZIP archive of {count}, not a network")


def _describe_by_magic(head: bytes) -> FileDescription | None:
    for magic in MAGICS:
        if head[magic.offset :].startswith(magic.start):
            return FileDescription(f"is {magic.what}, not a network", magic.advice)
    return None


def _describe_safetensors(path: Path, head: bytes) -> FileDescription | None:
    size = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= size <= MAX_HEADER_BYTES:
        return None
    with path.open("rb") as file:
        text = file.read(8 + size)[8:]
    cut = FileDescription("is a safetensors file that is damaged or cut short", DOWNLOAD_AGAIN)
    try:
        header: dict[str, Any] = json.loads(text)
        end = max(
            (value["data_offsets"][1] for name, value in header.items() if name != "__metadata__"),
            default=0,
        )
        is_cut = len(text) < size or path.stat().st_size < 8 + size + end
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return cut
    names = [name for name in header if name != "__metadata__"]
    if is_cut:
        return cut
    what = identify_weights(names) or describe_unknown_weights(names)
    return FileDescription(f"is a safetensors file of another program: {what}", OTHER)


def _describe_onnx(path: Path, head: bytes) -> FileDescription | None:
    begins = re.match(rb"\x08[\x01-\x14][\x12\x1a\x3a]", head)  # version, then producer
    if not begins and path.suffix.lower() != ".onnx":
        return None
    if not begins:
        return FileDescription(
            "is named as an ONNX file and is none, or it is damaged", DOWNLOAD_AGAIN
        )
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
        is_own = b"progan " in file.read()
    if is_own:
        return FileDescription("is an ONNX export of progan for other programs", EXPORTED)
    return FileDescription("is an ONNX file of another program", OTHER)


def _describe_text(head: bytes) -> FileDescription | None:
    text = _decode_text(head)
    lower = text.lstrip("\ufeff \t\r\n").lower()
    for start, what, advice in TEXTS:
        if lower.startswith(start):
            return FileDescription(what, advice)
    if HTML.match(text.lstrip("\ufeff")):
        if "google drive" in lower or "drive.google.com" in lower:
            return FileDescription(
                "is a web page of Google Drive (HTML), not the file itself",
                "Open its address in a browser, confirm the download there, and name "
                "the file that comes.",
            )
        return FileDescription(
            "is a saved web page (HTML), not the file itself", "Download the file itself."
        )
    if lower[:1] in ("{", "[") and text:
        return FileDescription("is a JSON file, not a network")
    return None


def _describe_pickle_or_none(path: Path, head: bytes) -> FileDescription | None:
    """Describe a pickle: protocol 2 or later by its first bytes, older ones if parseable."""
    if (
        is_legacy_torch(head)
        or re.match(rb"\x80[\x02-\x05]", head)
        or scan_pickle_file(path).is_whole
    ):
        return describe_pickle(path)
    return None


def _describe_other_text(head: bytes) -> FileDescription | None:
    text = _decode_text(head)
    if not text:
        return None
    first = (text.strip().splitlines() or [""])[0]
    return FileDescription(
        f"is a text file that begins with {sanitize_and_truncate_line(first[:60])!r}, not a network"
    )


def _decode_text(head: bytes) -> str:
    """Return the text at the start of a file; '' if it is binary."""
    codec = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        text = head.decode(codec)
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < HEAD_BYTES - 4:  # not a character cut in two
            return ""
        text = head[: error.start].decode(codec)
    odd = sum(not (character.isprintable() or character in "\t\r\n\f\ufeff") for character in text)
    return text if odd <= len(text) / 50 else ""


def _describe_unknown(path: Path, head: bytes) -> FileDescription:
    if not head.strip(b"\0"):
        return FileDescription(
            "begins with zeros only, as after an interrupted copy", DOWNLOAD_AGAIN
        )
    if _is_state_by_name(path):
        return FileDescription(
            "is a training state by its name, but it is damaged",
            "Name another one of the run, or one of its network files.",
        )
    if path.suffix.lower() == ".pkl":
        return FileDescription(
            "is not a readable pickle: it is damaged or of another kind", DOWNLOAD_AGAIN
        )
    return FileDescription(
        "is not a network file of progan or of another program that is known, or it is damaged"
    )


def _is_state_by_name(path: Path) -> bool:
    return path.name.startswith(STATE_PREFIX) and path.suffix == STATE_SUFFIX
