"""Create, find and name the directory of a run and its files."""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from math import inf
from pathlib import Path

from progan.config import Run, from_dict, to_dict
from progan.errors import UserError
from progan.runtime.files import PARTIAL, write_atomically

CONFIG_FILE = "config.json"
LAUNCH_FILE = ".launch"
LOG_FILE = "log.txt"
STATISTICS_FILE = "stats.jsonl"
FIRST_STATE_MARKER = ".first-state-unfinished"  # there while no state can be missing
REALS_FILE = "reals.png"
FAKES_PREFIX = "fakes-"
FIRST_FAKES_FILE = "fakes-init.png"
METRIC_PREFIX = "metric-"
NETWORK_PREFIX = "network-"
BEST_PREFIX = f"{NETWORK_PREFIX}best-"
ROLLBACK_PREFIX = "rollback-"
STATE_PREFIX = "state-"
STATE_SUFFIX = ".pt"
BEST_STATE_PREFIX = "state-best-"
_MAX_SLUG = 100  # characters of a dataset in the name of a run; a file name holds 255 bytes


def create_run(outdir: Path, dataset_name: str, run: Run) -> Path:
    """Create and return OUTDIR/NNNNN-<dataset>-<preset>, NNNNN being the next free number."""
    name = f"{_make_folder_name(dataset_name)}-{run.preset}"
    growing = outdir / f".{name}.{secrets.token_hex(4)}{PARTIAL}"
    try:
        growing.mkdir(parents=True)
        try:
            # Renamed when it has its config, so that a crash leaves no directory without one.
            save_config(growing, run)
            return _rename_to_next_number(growing, outdir, name)
        except BaseException:
            shutil.rmtree(growing, ignore_errors=True)
            raise
    except OSError as error:
        raise UserError(
            f"Cannot write to {outdir}: {error.strerror}. Name another --outdir, or "
            "make this one writable."
        ) from error


def _rename_to_next_number(directory: Path, outdir: Path, name: str) -> Path:
    """Rename the directory of a new run to OUTDIR/NNNNN-<name>, and return its path."""
    numbers = [_parse_run_number(path) for path in list_runs(outdir)]
    number = max((each for each in numbers if each is not None), default=-1) + 1
    while True:
        path = outdir / f"{number:05d}-{name}"
        try:
            return directory.rename(path)
        except OSError:
            # Another run that started in the same moment may have taken the number.
            if not path.exists():
                raise
            number += 1


def save_launch(directory: Path, launch: str, resumed: Path | None = None) -> None:
    """Record which launch of several processes has begun in a run.

    Args:
        resumed: What it was asked to resume: a run, a folder of runs or a state file; None for a
            new run.
    """
    write_atomically(directory / LAUNCH_FILE, _format_launch(launch, resumed))


def find_run_of_launch(outdir: Path, launch: str, resumed: Path | None = None) -> Path | None:
    """Return the newest run in which a launch is recorded, or None.

    Args:
        outdir: The folder of the runs; ignored with `resumed`.
        resumed: As for `save_launch`; a state file may be gone, superseded by newer ones.
    """
    record = _format_launch(launch, resumed)
    found = [
        path
        for path in ([resumed.parent, *list_runs(resumed)] if resumed else list_runs(outdir))
        if (path / LAUNCH_FILE).is_file() and (path / LAUNCH_FILE).read_text("utf-8") == record
    ]
    return found[-1] if found else None


def _format_launch(launch: str, resumed: Path | None) -> str:
    """Return what the record of a launch holds: its name, and what it resumes."""
    return f"{launch}\n" + (f"{resumed.absolute()}\n" if resumed else "")


def save_config(directory: Path, run: Run) -> None:
    """Write the config of a run as JSON, atomically."""
    write_atomically(directory / CONFIG_FILE, json.dumps(to_dict(run), indent=2) + "\n")


def load_config(directory: Path) -> Run:
    """Load the config of a run; raises UserError if the directory is not one."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{directory} is not the directory of a run: it has no {CONFIG_FILE}.")
    try:
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict) or not {"network", "growth"} <= set(values):
            raise ValueError("it has no settings of network and growth")
        return from_dict(values)
    except UserError as error:
        raise UserError(
            f"{path} cannot be used: {error} Correct it, or start a new run."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}). Restore it, or start a new run.") from error


def find_run_or_state(path: Path) -> Path:
    """Return the state file or run that `path` is, or the newest run in that directory.

    Raises UserError if `path` is none of these.
    """
    if path.is_file() or (path / CONFIG_FILE).is_file():
        return path
    found = list_runs(path)
    if not found:
        what = f"No run in {path}" if path.is_dir() else f"No such file or directory: {path}"
        raise UserError(
            f"{what}. Name the directory of a run, which holds the "
            f"{CONFIG_FILE} of train.py, one of its state files, or an --outdir that "
            "has runs."
        )
    return found[-1]


def list_runs(outdir: Path) -> list[Path]:
    """Return the directories of the runs in `outdir`, the newest last.

    A run is a directory called NNNNN-… that holds a file of a run, or any other one, such as a run
    that was renamed, that holds a config. Numbers order the runs; if one of them has none, all are
    ordered by the time of the last start or resume, when the config was written.
    """
    if not outdir.is_dir():
        return []
    found = [path for path in outdir.iterdir() if path.is_dir() and _is_run(path)]
    numbered = all(_parse_run_number(path) is not None for path in found)
    return sorted(
        found,
        key=lambda path: (
            (_parse_run_number(path) or 0) if numbered else get_start_time_ns(path),
            path,
        ),
    )


def list_states(directory: Path) -> list[Path]:
    """Return the state files of a run, oldest first; superseded and damaged ones are left out."""
    return sort_by_kimg(directory.glob(f"{STATE_PREFIX}[0-9]*{STATE_SUFFIX}"))


def sort_by_kimg(paths: Iterable[Path]) -> list[Path]:
    """Sort files named by `format_kimg_file_name`, those without a number last."""

    def make_key(path: Path) -> tuple[float, int, str]:
        number = re.search(r"(\d+)(?:_(\d+))?", path.name)
        return (int(number[1]), int(number[2] or 0), path.name) if number else (inf, 0, path.name)

    return sorted(paths, key=make_key)


def list_curve_files(directory: Path) -> list[Path]:
    """Return the files that grow with a run: JSON lines and TensorBoard's events."""
    return [*directory.glob("*.jsonl"), *directory.glob("events.out.tfevents.*")]


def choose_state_path(directory: Path, images_seen: int) -> Path:
    """Return the path for a new state.

    The newest state is never removed. So the first one of its thousand of images always has the
    short name, and the order of names is the order of images.
    """
    path = directory / format_kimg_file_name(STATE_PREFIX, images_seen, STATE_SUFFIX)
    taken = path.exists() or any(directory.glob(f"{path.stem}_*{STATE_SUFFIX}"))
    return add_images_to_file_name(path, images_seen) if taken else path


def choose_snapshot_path(
    directory: Path,
    prefix: str,
    images_seen: int,
    suffix: str,
    moment_of: Callable[[Path], int | None],
) -> Path:
    """Return the path for a file of the moment `images_seen`; it may replace one of that moment.

    Args:
        moment_of: Returns the images seen before a file was written, None if unknown.
    """
    path = directory / format_kimg_file_name(prefix, images_seen, suffix)
    free = not path.exists() or moment_of(path) == images_seen
    return path if free else add_images_to_file_name(path, images_seen)


def choose_rollback_path(directory: Path) -> Path:
    """Return the path for the report of the next rollback, which replaces no earlier one."""
    taken = [
        int(number)
        for path in directory.glob(f"{ROLLBACK_PREFIX}*.json")
        if (number := path.stem.removeprefix(ROLLBACK_PREFIX)).isdecimal()
    ]
    return directory / f"{ROLLBACK_PREFIX}{max(taken, default=0) + 1:02d}.json"


def format_kimg_file_name(prefix: str, images_seen: int, suffix: str) -> str:
    """Return a file name with the thousands of images seen: 'fakes-001234.png'."""
    return f"{prefix}{images_seen // 1000:06d}{suffix}"


def add_images_to_file_name(path: Path, images_seen: int) -> Path:
    """Return the path of a second file within a thousand of images: 'fakes-001234_500.png'."""
    return path.with_name(f"{path.stem}_{images_seen % 1000:03d}{path.suffix}")


def rename_to_exclude(path: Path, why: str) -> Path:
    """Rename a file, e.g. to 'state-000012.pt.damaged', to exclude it; return its new path.

    A file that was excluded earlier keeps its name: the next is 'state-000012.pt.damaged-2'.
    """
    target, count = path.with_name(f"{path.name}.{why}"), 1
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}.{why}-{count}")
    return path.replace(target)


def _parse_run_number(path: Path) -> int | None:
    """Parse the number of a run from '00012-faces-v2': 12; None if the name has none."""
    match = re.match(r"(\d{5,})-", path.name)
    return int(match[1]) if match else None


def _is_run(directory: Path) -> bool:
    """True for a directory with the config of a run, or the number of one and a file of it."""
    if directory.name.startswith("."):  # in creation
        return False
    if _parse_run_number(directory) is None:
        return has_config(directory)
    files = CONFIG_FILE, LOG_FILE, STATISTICS_FILE
    if any((directory / name).is_file() for name in files):
        return True
    return any(any(directory.glob(f"{kind}*")) for kind in (STATE_PREFIX, NETWORK_PREFIX))


def has_config(directory: Path) -> bool:
    """True if a directory holds the config of a run, not a config.json of another program."""
    try:
        values = json.loads((directory / CONFIG_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and {"network", "growth"} <= set(values)


def find_run_of_file(path: Path) -> Path | None:
    """Return the directory of the run that a file is in, None if it is not in one.

    One that has statistics is a run even if its config is damaged, which `load_config` says.
    """
    directory = path.parent
    has_files = all((directory / name).is_file() for name in (CONFIG_FILE, STATISTICS_FILE))
    return directory if has_files or has_config(directory) else None


def get_start_time_ns(directory: Path) -> int:
    """Return the time of the last start or resume, when the config was written."""
    path = directory / CONFIG_FILE
    return (path if path.is_file() else directory).stat().st_mtime_ns


def _make_folder_name(name: str) -> str:
    """Replace what is unsafe in a name of a folder by '-', and truncate; 'dataset' of nothing."""
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-")
    return slug[:_MAX_SLUG] or "dataset"
