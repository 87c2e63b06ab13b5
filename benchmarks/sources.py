"""Time the importers of archives, Parquet, WebDataset and URLs beside that of a folder.

    python benchmarks/sources.py --source landscape-1024-jpg.zip --json results/sources.json

The same images, packed in each way, are imported in turns, each in a process of its own; the share
is of the folder's median. Then shards are imported, few and many, with the peak memory of each.
"""

import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import PATH, describe_machine, format_spread, json_option, write_json
from progan.data.importers.file_source import open_file_source

SHARDS = (2, 20)  # numbers of shards whose peaks are compared, with equal images in each
Contents = dict[str, bytes]


@click.command()
@click.option("--source", type=PATH, required=True, help="Folder or archive of images.")
@click.option("--resolution", default=256, show_default=True)
@click.option("--num-images", type=click.IntRange(min=1), help="Take the first so many.")
@click.option("--runs", default=5, show_default=True)
@json_option
def main(
    source: Path, resolution: int, num_images: int | None, runs: int, json_file: Path | None
) -> None:
    """Print images per second of each kind of source, and peak memory by number of shards."""
    tree, paths, _ = open_file_source(source)
    chosen = enumerate(paths[:num_images])
    contents = {f"{number:06d}.jpg": tree.read(path) for number, path in chosen}
    with tempfile.TemporaryDirectory() as folder:
        packed = {name: pack(contents, Path(folder) / name) for name, pack in PACKERS.items()}
        speeds: dict[str, list[float]] = {name: [] for name in packed}
        for run in range(runs + 1):
            for name, where in packed.items():
                seconds, _ = run_import(name, where, resolution)
                if run:
                    speeds[name].append(len(contents) / seconds)
        peaks = {}
        for count in SHARDS:
            shards = Path(folder) / f"{count} shards"
            for number in range(count):
                pack_tar(contents, shards / f"{number:03d}")
            peaks[count] = run_import("webdataset", shards, resolution)[1]
    base = statistics.median(speeds["folder"])
    for name, values in speeds.items():
        share = 100 * statistics.median(values) / base
        click.echo(f"{name}: {format_spread(values)} images/s, {share:.0f} % of a folder's")
    for count, peak in peaks.items():
        click.echo(f"{count} shards of {len(contents)} images: {peak:.0f} MiB at the peak")
    if json_file is not None:
        command = " ".join(["python", *sys.argv])
        record = {"machine": describe_machine(), "command": command, "images": len(contents),
                  "images_per_second": speeds, "peak_mib_by_shards": peaks}  # fmt: skip
        write_json(json_file, record)


def run_import(name: str, where: Path | str, resolution: int) -> tuple[float, float]:
    """Import a source in a process of its own; return its seconds and its peak of MiB."""
    kind = name if name in ("parquet", "webdataset") else "images"
    with tempfile.TemporaryDirectory() as folder:
        words = ["--source", str(where), "--dest", f"{folder}/d", "--resolution", str(resolution)]
        code = f"import sys; sys.argv[1:] = {['create-from-' + kind, *words]!r}; {PEAK}"
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
        )
        seconds = time.perf_counter() - start
    if done.returncode:
        raise click.ClickException(f"{name} failed: {done.stderr}")
    return seconds, float(done.stdout.splitlines()[-1])


# Of Linux; ru_maxrss begins with the peak of the process that started this one.
PEAK = """
import re
from progan.cli.dataset import main
main(standalone_mode=False)
print(int(re.search("VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def pack_folder(contents: Contents, path: Path) -> Path:
    path.mkdir(parents=True)
    for name, content in contents.items():
        (path / name).write_bytes(content)
    return path


def pack_url(contents: Contents, path: Path) -> str:
    return f"file://{pack_folder(contents, path)}"


def pack_zip(contents: Contents, path: Path) -> Path:
    file = path.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file


def pack_tar(contents: Contents, path: Path, mode: str = "w:", suffix: str = ".tar") -> Path:
    file = Path(f"{path}{suffix}")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def pack_tar_gz(contents: Contents, path: Path) -> Path:
    return pack_tar(contents, path, "w:gz", ".tar.gz")


def pack_parquet(contents: Contents, path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    values = [{"bytes": content, "path": name} for name, content in contents.items()]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    file = path.with_suffix(".parquet")
    table = pyarrow.table({"image": pyarrow.array(values, kind)})
    parquet.write_table(table, file, row_group_size=100)  # as datasets of the Hub are written
    return file


PACKERS: dict[str, Callable[[Contents, Path], Path | str]] = {
    "folder": pack_folder, "zip": pack_zip, "tar": pack_tar, "tar.gz": pack_tar_gz,
    "parquet": pack_parquet, "webdataset": pack_tar, "url": pack_url,
}  # fmt: skip


if __name__ == "__main__":
    main()
