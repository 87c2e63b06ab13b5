"""Run series of trainings, several seeds each, and print each series as one table.

    python benchmarks/experiments.py table4 --data mnist-rgb --classifier C --kimg 400
    python benchmarks/experiments.py zoo --data cifar10 --kimg 200 --seeds 1
    python benchmarks/experiments.py digits --data mnist28 --kimg 19.2 --seeds 10
    python benchmarks/experiments.py penalty-demo --data portraits --kimg 28
    python benchmarks/experiments.py penalty-cifar10 --data cifar10 --kimg 100

Every run is a plain train.py. The same command continues interrupted runs, skips finished ones,
and extends them if `--kimg` is larger. Each outcome is added to
`benchmarks/results/<experiment>.json`, which another machine can continue from.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.growing import minutes_to_reach
from benchmarks.report import RESULTS, ROOT
from benchmarks.trials import EXPERIMENTS, Columns, Settings, Trial
from metrics.evaluation import BASELINE
from progan import run_directory
from progan.diagnosis.diagnose import diagnose_after_each_tick
from progan.diagnosis.history import read_history
from progan.diagnosis.status import translate_old_status_name
from progan.runtime.files import read_json_lines, write_atomically

PATH = click.Path(path_type=Path, resolve_path=True)  # trainings run in the repository
SWD = "SWDx1e3_avg"
HELD_OUT = "held-out.jsonl"  # metrics of all snapshots against held-out images


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Result of a trial; its fields are keys of the results file.

    Attributes:
        values: By heading.
        minutes: None: unknown.
        verdict: Status of the diagnosis at the end.
        verdict_kimg: Where the run first had that status; None: unknown.
        curve: [minutes, kimg, SWD] of the snapshots, if the run measured it.
    """

    name: str
    seed: int
    kimg: float
    minutes: float | None
    values: dict[str, float]
    verdict: str
    verdict_kimg: float | None
    torch: str
    curve: list[list[float]] = field(default_factory=list)


# fmt: off
@click.command()
@click.argument("name", type=click.Choice(tuple(EXPERIMENTS)))
@click.option("--data", type=PATH, required=True)
@click.option("--classifier", type=PATH, help="For table4 and table4-faster-d.")
@click.option("--outdir", type=PATH, default=Path("experiments"), show_default=True)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS,
    help="Folder of the outcomes.")
@click.option("--kimg", type=float, required=True, help="Thousands of images for each run.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--row", "rows", multiple=True,
    help="Train this row of the table only; may be repeated.  [default: all]")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True,
    help="Number of concurrent runs, on one thread each.")
@click.option("--plot", type=PATH, help="Figure of SWD against minutes to write.")
# fmt: on
def main(
    name: str,
    data: Path,
    classifier: Path | None,
    outdir: Path,
    results: Path,
    kimg: float,
    seeds: int,
    rows: tuple[str, ...],
    jobs: int,
    plot: Path | None,
) -> None:
    """Run what is left of an experiment, and print its table."""
    trials_of, columns = EXPERIMENTS[name]
    settings = Settings(data=data, classifier=classifier, kimg=kimg, seeds=range(seeds))
    results.mkdir(parents=True, exist_ok=True)
    store, folder = results / f"{name}.json", outdir / name
    trials = select_rows(list(trials_of(settings)), rows)
    # Shorter ones stay in the file until they are replaced.
    outcomes = {(each.name, each.seed): each for each in read_outcomes(store)}
    left = [
        trial
        for trial in trials
        if (stored := outcomes.get((trial.name, trial.seed))) is None
        or stored.kimg < kimg_of(trial, settings)
    ]
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(lambda trial: run_trial(trial, settings, folder, columns), left):
            outcomes[found.name, found.seed] = found
            write_outcomes(store, outcomes.values())
            click.echo(f"{found.name}, seed {found.seed}: {found.minutes} min", err=True)
    listed = [outcomes[trial.name, trial.seed] for trial in trials]
    if plot is not None:
        plot_curves(listed, plot)
    click.echo(format_table(listed, columns))


def select_rows(trials: Sequence[Trial], rows: Sequence[str]) -> list[Trial]:
    """Return the trials of these rows, all without any; raises UsageError for an unknown row."""
    names = list(dict.fromkeys(trial.name for trial in trials))
    for row in rows:
        if row not in names:
            raise click.UsageError(f"No row is called {row!r}. The rows: {', '.join(names)}.")
    return [trial for trial in trials if trial.name in (rows or names)]


def kimg_of(trial: Trial, settings: Settings) -> float:
    """Return the length of a trial."""
    return round(settings.kimg * trial.kimg_factor, 3)


def read_outcomes(store: Path) -> list[Outcome]:
    """Read outcomes; statuses of earlier versions get their present names."""
    stored = json.loads(store.read_text()) if store.exists() else []
    return [
        Outcome(**each | {"verdict": translate_old_status_name(each["verdict"])}) for each in stored
    ]


def write_outcomes(store: Path, outcomes: Iterable[Outcome]) -> None:
    """Write one line for each outcome, for readable diffs."""
    ordered = sorted(outcomes, key=lambda each: (each.name, each.seed))
    lines = ",\n".join(json.dumps(asdict(each)) for each in ordered)
    write_atomically(store, f"[\n{lines}\n]\n")


def run_trial(trial: Trial, settings: Settings, folder: Path, columns: Columns) -> Outcome:
    """Train or continue a trial, and collect its results."""
    run = train_trial(trial, settings, folder)
    found, history = last_values(run), status_changes(run)
    if trial.held_out:
        found |= held_out_values(trial, settings, run)
    last = history[-1][1] if history else ""
    return Outcome(
        name=trial.name, seed=trial.seed, kimg=found["progress/kimg"],
        minutes=round(60 * found["progress/hours"], 2), torch=version("torch"),
        values={
            heading: float(f"{found[key]:.5g}") for heading, key in columns.items() if key in found
        },
        verdict=last, verdict_kimg=next((kimg for kimg, name in history if name == last), None),
        curve=read_swd_curve(run),
    )  # fmt: skip


def train_trial(trial: Trial, settings: Settings, folder: Path) -> Path:
    """Return the directory of the trial's run, after training it to the end."""
    outdir = folder / trial.folder
    runs = sorted(outdir.glob("[0-9]*-*"))
    if runs and last_values(runs[-1]).get("progress/kimg", 0.0) >= kimg_of(trial, settings):
        return runs[-1]
    resumable = (
        runs and run_directory.list_states(runs[-1]) and has_phases_of(trial, runs[-1])
    )
    if resumable:
        arguments = ["--resume", str(runs[-1])]
    else:
        paths = ["--data", str(settings.data), "--outdir", str(outdir)]
        arguments = [*paths, "--seed", str(trial.seed), *trial.options]
    arguments += ["--total-kimg", str(kimg_of(trial, settings))]
    outdir.mkdir(parents=True, exist_ok=True)
    run_python([str(ROOT / "train.py"), *arguments], outdir / "output.txt")
    return sorted(outdir.glob("[0-9]*-*"))[-1]


def has_phases_of(trial: Trial, run: Path) -> bool:
    """True unless the trial names other lengths of phases, which may follow from --kimg."""
    growth, options = run_directory.load_config(run).growth, trial.options
    wanted = dict(zip(options[::2], options[1::2], strict=False))
    return float(wanted.get("--training-kimg", growth.training_kimg)) == growth.training_kimg


def held_out_values(trial: Trial, settings: Settings, run: Path) -> dict[str, float]:
    """Measure all snapshots against held-out images; return last and least values."""
    lines = run / HELD_OUT
    lines.unlink(missing_ok=True)
    files = ["--network", str(run), "--data", str(settings.data), "--json", str(lines)]
    arguments = ["-m", "metrics", *trial.held_out, "--held-out", *files]
    run_python(arguments, run.parent / "output.txt")
    rows = [
        line["values"]
        for line in map(json.loads, lines.read_text("utf-8").splitlines())
        if line["row"] != BASELINE
    ]
    series = {key: [row[key]["mean"] for row in rows] for key in rows[-1]}
    return {f"held-out/{key}": each[-1] for key, each in series.items()} | {
        f"held-out/{key}/least": min(each) for key, each in series.items()
    }


def run_python(arguments: Sequence[str], output: Path) -> None:
    """Run python on one thread, with its output appended to a file."""
    with output.open("a") as file:
        ended = subprocess.run(
            [sys.executable, *arguments],
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if ended.returncode:
        raise click.ClickException(
            f"{' '.join(arguments)} failed with exit code {ended.returncode}; see {output}. "
            "To resume: repeat the command."
        )


def last_values(run: Path) -> dict[str, float]:
    """Return the last statistics of a run and the last values of its metrics, by name."""
    found = dict(last_line(run / run_directory.STATISTICS_FILE))
    for file in sorted(run.glob(f"{run_directory.METRIC_PREFIX}*.jsonl")):
        line = last_line(file)
        found |= {} if "metric" in line else line.get("values", {})  # others were measured later
    return found


def read_swd_curve(run: Path) -> list[list[float]]:
    """Return [minutes, kimg, SWD] of each snapshot whose SWD was measured in training."""
    return sorted(
        [round(60 * line["hours"], 2), line["kimg"], round(line["values"][SWD], 2)]
        for file in run.glob(f"{run_directory.METRIC_PREFIX}swd*.jsonl")
        for line in read_json_lines(file)
        if "hours" in line and SWD in line["values"]
    )


def plot_curves(outcomes: Sequence[Outcome], path: Path) -> None:
    """Plot SWD against minutes, one colour for each row of the table and one line for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for index, (name, row) in enumerate(group_by_name(outcomes).items()):
        for number, each in enumerate(row):
            minutes, _, values = zip(*each.curve, strict=True)
            axes.plot(
                minutes, values, color=f"C{index}", marker=".", lw=1, label="" if number else name
            )
    axes.set(xlabel="minutes", ylabel="SWD × 1e3, average of the scales", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=110)


def status_changes(run: Path) -> list[tuple[float, str]]:
    """Return (kimg, status) of the live diagnosis wherever the status changed."""
    history: list[tuple[float, str]] = []
    for kimg, verdict in diagnose_after_each_tick(read_history(run)):
        if verdict.is_conclusive and (not history or history[-1][1] != verdict.name):
            history.append((kimg, verdict.name))
    return history


def status_cells(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Format the last statuses of runs with their counts, and when they were first given."""
    counted = Counter(each.verdict for each in outcomes if each.verdict)
    first = [each.verdict_kimg for each in outcomes if each.verdict_kimg is not None]
    names = ", ".join(f"{name} {count}/{len(outcomes)}" for name, count in counted.most_common())
    return names, f"{min(first):.1f} to {max(first):.1f}" if first else ""


def minutes_cell(outcomes: Sequence[Outcome], swd: float) -> str:
    """Format the minutes until the curves fall to a value, and how many of them do."""
    curves = [
        [{"minutes": minutes, "value": value} for minutes, _, value in each.curve]
        for each in outcomes
    ]
    times = [minutes_to_reach(curve, swd) for curve in curves]
    reached = [time for time in times if time is not None]
    return f"{mean_and_std(reached)} ({len(reached)}/{len(outcomes)})"


def last_line(file: Path) -> dict:  # type: ignore[type-arg]
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return json.loads(lines[-1]) if lines else {}


def format_table(outcomes: Sequence[Outcome], columns: Columns) -> str:
    """Format mean ± standard deviation over the seeds as a Markdown table.

    With curves, a column has the minutes until the SWD that the first row has at its end, of the
    seeds that reach it.
    """
    rows = group_by_name(outcomes)
    first = next(iter(rows.values()))
    goal = statistics.fmean(each.curve[-1][2] for each in first) if first[0].curve else None
    heading = ["", *columns, "minutes", "seeds", "status at the end", "first at kimg"]
    heading += [] if goal is None else [f"minutes to SWD {goal:.1f}"]
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)]]
    for name, row in rows.items():
        cells = [
            mean_and_std([each.values[key] for each in row if key in each.values])
            for key in columns
        ]
        minutes = mean_and_std([each.minutes for each in row if each.minutes is not None])
        lines.append([name, *cells, minutes, str(len(row)), *status_cells(row)])
        if goal is not None:
            lines[-1].append(minutes_cell(row, goal))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def group_by_name(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    rows: dict[str, list[Outcome]] = {}
    for each in outcomes:
        rows.setdefault(each.name, []).append(each)
    return rows


def mean_and_std(numbers: Sequence[float]) -> str:
    if not numbers:
        return ""
    mean = statistics.fmean(numbers)
    return f"{mean:.4g} ± {statistics.stdev(numbers):.2g}" if len(numbers) > 1 else f"{mean:.4g}"


if __name__ == "__main__":
    main()
