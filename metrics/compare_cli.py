"""python -m metrics compare: several runs in one table and on one sheet."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metrics.options import detector_option, parse_metrics, require_inputs
from progan.command import PATH, Command, describe_os_error, device_option, format_path
from progan.errors import UserError
from progan.runtime.files import require_writable_folder
from progan.runtime.text import escape_controls
from progan.runtime.torch_settings import set_omp_passive
from progan.sampling.options import parse_seeds

if TYPE_CHECKING:
    from metrics.comparison import Comparison
    from metrics.run_record import RunRecord

MARKDOWN_FILE, CSV_FILE, SHEET_FILE = "compare.md", "compare.csv", "samples.png"
MOST_SEEDS = 64


# fmt: off
@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("--outdir", type=PATH, required=True, metavar="DIR",
    help=f"Where {MARKDOWN_FILE}, {CSV_FILE} and {SHEET_FILE} go.")
@click.option("--snapshot", type=click.Choice(("newest", "best")), default="newest",
    show_default=True,
    help="Which network of each run: best is the one that train.py --best has kept.")
@click.option("--seeds", default="0-7", show_default=True, help="Seeds of the samples.")
@click.option("--sort", default="", metavar="METRIC",
    help="The column, or the metric, by which the best run comes first; the order of RUN... if "
    "not given.")
@click.option("--metrics", default="", metavar="LIST",
    help="Measure these first where a run lacks them against --data, as train.py --metrics does: "
    "swd16k,ms-ssim.")
@click.option("--data", type=PATH, metavar="DIR", help="Real images for --metrics.")
@detector_option
@device_option
# fmt: on
def compare(
    runs: tuple[Path, ...],
    outdir: Path,
    seeds: str,
    sort: str,
    metrics: str,
    data: Path | None,
    detector: Path | None,
    **settings: str,
) -> None:
    """Compare runs: settings, metrics, losses, speed, and the samples of equal seeds.

    Results of the training (metric-*.jsonl, stats.jsonl) are read, not measured again. A run that
    cannot be read is reported, and the others are compared.

    \b
    python -m metrics compare runs/* --outdir out --sort swd
    python -m metrics compare A B --outdir out --metrics swd,ms-ssim --data datasets/mine
    """
    missing_metrics = parse_metrics(metrics)
    if missing_metrics and data is None:
        raise UserError("--metrics needs the real images. Name them with --data.")
    if (data or detector) and not missing_metrics:
        raise UserError(
            "--data and --detector are of --metrics, which is not given: results are read, not "
            "measured again. Add --metrics, such as --metrics swd."
        )
    numbers = parse_seeds(seeds)
    if len(numbers) > MOST_SEEDS:
        raise UserError(
            f"--seeds {seeds} are {len(numbers)} images of each run. Name {MOST_SEEDS} at most."
        )
    if not any(run.exists() for run in runs):
        raise UserError(f"No run to compare: no such file: {', '.join(map(str, runs))}.")
    require_inputs(data, detector=detector)
    require_writable_folder(outdir, "--outdir")
    set_omp_passive()
    from metrics import comparison
    from progan.runtime.files import make_folder

    make_folder(outdir)
    read = _make_record_reader(missing_metrics, data, detector, **settings)
    records, failed = _read_records(runs, read)
    if not records:
        raise UserError("No run to compare. " + _format_left_out_runs(failed))
    found = comparison.compare(records, sort)
    _write_files(found, records, numbers, outdir)
    click.echo(comparison.format_markdown(found, SHEET_FILE).partition("\n\n")[0])
    for sentence in comparison.describe_mixed_columns(found):
        click.echo(escape_controls(sentence))
    for name in (MARKDOWN_FILE, CSV_FILE, SHEET_FILE):
        click.echo(format_path(outdir / name))
    if failed:
        raise UserError(_format_left_out_runs(failed))


def _make_record_reader(
    missing_metrics: Mapping[str, tuple[str, int | None]],
    data: Path | None,
    detector: Path | None,
    *,
    snapshot: str,
    device: str,
) -> Callable[[Path], "RunRecord"]:
    """Return the function run -> record, which measures the metrics that are missing."""
    from metrics.measure import create_context, measure_missing
    from metrics.run_record import read_record
    from progan.runtime.devices import choose_device, set_precision

    target = choose_device(device)
    set_precision("fp32")
    context = create_context([name for name, _ in missing_metrics.values()], detector, 0, target)
    wanted = context.detector.name if detector is not None and context.detector else None

    def read(run: Path) -> "RunRecord":
        record = read_record(run, best=snapshot == "best", device=target)
        if data is None:
            return record
        return measure_missing(record, missing_metrics, data, context, wanted)

    return read


def _read_records(
    runs: tuple[Path, ...], read: Callable[[Path], "RunRecord"]
) -> tuple[list["RunRecord"], dict[Path, str]]:
    """Read the runs; also return the error messages of those that cannot be read."""
    records, failed = [], {}
    for run in dict.fromkeys(runs):
        try:
            records.append(read(run))
        except UserError as error:
            failed[run] = str(error)
        except OSError as error:
            failed[run] = describe_os_error(error)
    return records, failed


def _write_files(
    found: "Comparison", records: Sequence["RunRecord"], seeds: Sequence[int], outdir: Path
) -> None:
    """Render a sheet of samples of each run, and write it and the tables."""
    from metrics import comparison
    from progan.images import save_png
    from progan.runtime.files import write_atomically

    samples = {
        name: comparison.render_samples(record, seeds)
        for name, record in zip(comparison.make_distinct_run_names(records), records, strict=True)
    }
    rows = [(run.name, samples[run.name]) for run in found.runs]
    save_png(outdir / SHEET_FILE, comparison.comparison_sheet(rows, seeds))
    write_atomically(outdir / MARKDOWN_FILE, comparison.format_markdown(found, SHEET_FILE))
    write_atomically(outdir / CSV_FILE, comparison.format_csv(found))


def _format_left_out_runs(failed: Mapping[Path, str]) -> str:
    """Format a line with the reason for each run that could not be read."""
    return "\n".join(f"{run} is left out: {reason}" for run, reason in failed.items())
