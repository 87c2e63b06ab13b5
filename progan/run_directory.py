"""The directory of a run: its name, its files, and how to find it again."""

import json
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from progan.config import Run, from_dict, to_dict
from progan.errors import UserError
from progan.runtime.files import PARTIAL, write_atomically

CONFIG_FILE = "config.json"
LAUNCH_FILE = ".launch"
LOG_FILE = "log.txt"
STATISTICS_FILE = "stats.jsonl"
REALS_FILE = "reals.png"
FAKES_PREFIX = "fakes-"
FIRST_FAKES_FILE = "fakes-init.png"
METRIC_PREFIX = "metric-"
BEST_PREFIX = "network-best-"
ROLLBACK_PREFIX = "rollback-"
STATE_PREFIX = "state-"
STATE_SUFFIX = ".pt"
BEST_STATE_PREFIX = "state-best-"
_MAX_SLUG = 100  # characters of a dataset in the name of a run; a file name holds 255 bytes


def create_run(outdir: Path, dataset_name: str, run: Run) -> Path:
    """Make and return OUTDIR/NNNNN-<dataset>-<preset>, NNNNN being the next free number."""
    number = (
        max(
            (number for path in list_runs(outdir) if (number := _number(path)) is not None),
            default=-1,
        )
        + 1
    )
    directory = outdir / f"{number:05d}-{_slug(dataset_name)}-{run.preset}"
    # It appears with its settings in it: without them a crash would leave what is no run.
    growing = outdir / f".{directory.name}.{secrets.token_hex(4)}{PARTIAL}"
    try:
        growing.mkdir(parents=True)
        try:
            save_config(growing, run)
            growing.rename(directory)
        except BaseException:
            shutil.rmtree(growing, ignore_errors=True)
            raise
    except OSError as error:
        raise UserError(
            f"Cannot write to {outdir}: {error.strerror}. Name another --outdir, or "
            "make this one writable."
        ) from error
    return directory


def save_launch(directory: Path, launch: str) -> None:
    """Remember which launch of several processes began a run."""
    write_atomically(directory / LAUNCH_FILE, launch + "\n")


def find_run_of_launch(outdir: Path, launch: str) -> Path | None:
    """The newest run that a launch began, if it began one."""
    found = [
        path
        for path in list_runs(outdir)
        if (path / LAUNCH_FILE).is_file()
        and (path / LAUNCH_FILE).read_text("utf-8") == launch + "\n"
    ]
    return found[-1] if found else None


def save_config(directory: Path, run: Run) -> None:
    write_atomically(directory / CONFIG_FILE, json.dumps(to_dict(run), indent=2) + "\n")


def load_config(directory: Path) -> Run:
    """Return the settings of a run; raises UserError if the directory is not one."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{directory} is not the directory of a run: it has no {CONFIG_FILE}.")
    try:
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict) or not {"network", "growth"} <= set(values):
            raise ValueError("it has no settings of network and growth")
        return from_dict(values)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error} Mend it, or start a new run.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}). Restore it, or start a new run.") from error


def find_run_or_state(path: Path) -> Path:
    """Return what to resume: a state file or the run itself, or the newest run of a directory.

    Raises UserError if `path` is none of these.
    """
    if path.is_file() or (path / CONFIG_FILE).is_file():
        return path
    found = list_runs(path)
    if not found:
        what = "no run in" if path.is_dir() else "no"
        raise UserError(
            f"There is {what} {path}. Name the directory of a run, which holds the "
            f"{CONFIG_FILE} of train.py, one of its state files, or an --outdir that "
            "has runs."
        )
    return found[-1]


def list_runs(outdir: Path) -> list[Path]:
    """Return the directories of the runs in `outdir`, the newest last.

    A run is a directory called NNNNN-…, or any other one, such as a run that was renamed, that
    holds the settings of one. Numbers tell which run is newer. Where a run has none, the time
    tells at which each was started or resumed last, which is when its settings were written.
    """
    if not outdir.is_dir():
        return []
    found = [
        path
        for path in outdir.iterdir()
        if path.is_dir() and (_number(path) is not None or _holds_settings(path))
    ]
    numbered = all(_number(path) is not None for path in found)
    return sorted(
        found, key=lambda path: ((_number(path) or 0) if numbered else _started_ns(path), path)
    )


def list_states(directory: Path) -> list[Path]:
    """The training states of a run, oldest first."""
    return sorted(directory.glob(f"{STATE_PREFIX}[0-9]*{STATE_SUFFIX}"))


def curve_files(directory: Path) -> list[Path]:
    """The files that grow with a run: numbers as JSON lines, and TensorBoard's events."""
    return [*directory.glob("*.jsonl"), *directory.glob("events.out.tfevents.*")]


def state_path(directory: Path, images_seen: int) -> Path:
    """Where a new state, which is the newest, is to be written.

    The newest state is never removed. So the first one of its thousand of images always has the
    short name, and the order of names is the order of images.
    """
    path = directory / kimg_name(STATE_PREFIX, images_seen, STATE_SUFFIX)
    taken = path.exists() or any(directory.glob(f"{path.stem}_*{STATE_SUFFIX}"))
    return exact_path(path, images_seen) if taken else path


def snapshot_path(
    directory: Path,
    prefix: str,
    images_seen: int,
    suffix: str,
    moment_of: Callable[[Path], int | None],
) -> Path:
    """Where to write what `images_seen` images have led to, over nothing but its like.

    Args:
        moment_of: Reads from a file how many images it followed, if it tells.
    """
    path = directory / kimg_name(prefix, images_seen, suffix)
    free = not path.exists() or moment_of(path) == images_seen
    return path if free else exact_path(path, images_seen)


def rollback_path(directory: Path) -> Path:
    """Where the evidence of the next rollback goes; that of earlier attempts stays."""
    taken = [
        int(number)
        for path in directory.glob(f"{ROLLBACK_PREFIX}*.json")
        if (number := path.stem.removeprefix(ROLLBACK_PREFIX)).isdecimal()
    ]
    return directory / f"{ROLLBACK_PREFIX}{max(taken, default=0) + 1:02d}.json"


def kimg_name(prefix: str, images_seen: int, suffix: str) -> str:
    """File name with the thousands of images seen: 'fakes-001234.png'."""
    return f"{prefix}{images_seen // 1000:06d}{suffix}"


def exact_path(path: Path, images_seen: int) -> Path:
    """A second file within a thousand of images: 'fakes-001234_500.png', after the first one."""
    return path.with_name(f"{path.stem}_{images_seen % 1000:03d}{path.suffix}")


def quarantine(path: Path, why: str) -> Path:
    """Rename a file, 'state-000012.pt.damaged', so that it counts no more; return its new path."""
    return path.replace(path.with_name(f"{path.name}.{why}"))


def _number(path: Path) -> int | None:
    """The number of a run by its name, None if it has none."""
    match = re.match(r"(\d{5,})-", path.name)
    return int(match[1]) if match else None


def _holds_settings(directory: Path) -> bool:
    """Whether a directory without a number, which may be anything, is a run."""
    if directory.name.startswith("."):
        return False
    try:
        values = json.loads((directory / CONFIG_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and {"network", "growth"} <= set(values)


def _started_ns(directory: Path) -> int:
    path = directory / CONFIG_FILE
    return (path if path.is_file() else directory).stat().st_mtime_ns


def _slug(name: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-")
    return slug[:_MAX_SLUG] or "dataset"
