"""Trainings that belong together, several seeds each, as one table.

    python benchmarks/experiments.py table4 --data mnist-rgb --classifier C --kimg 400
    python benchmarks/experiments.py zoo --data cifar10 --kimg 200 --seeds 1
    python benchmarks/experiments.py digits --data mnist28 --kimg 19.2 --seeds 10

Every run is a plain train.py. What was interrupted is continued by the same command, and what is
finished is not repeated, or trained on if `--kimg` is more than it was.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from progan import run_directory  # noqa: E402
from progan.diagnosis.history import read_history  # noqa: E402
from progan.diagnosis.symptoms import verdicts  # noqa: E402

Columns = Mapping[str, str]  # heading -> file or statistic that the number comes from

# Preset: fmap_base and fmap_max.
ZOO = {"dcgan": (256, 64), "lsgan": (256, 64), "wgan": (256, 64), "wgan-gp": (256, 64),
       "wgan-gp-resnet": (128, 32), "began": (12, 12), "ebgan": (12, 12), "dragan": (256, 64)}
DIGITS = ("mnist-8", "mnist-8-collapse", "mnist-8-diverge")
# Row of table 4: its own settings, the best of those tried (docs/log.md). The minibatch of
# stddev is the whole batch, as in the paper.
ROWS = {
    "gan": ("--d-repeats", "2", "--g-lr", "0.0005", "--d-lr", "0.002", "--beta1", "0.5"),
    "wgan-gp": ("--d-repeats", "2", "--g-lr", "0.003", "--d-lr", "0.003"),
    "norm": ("--d-repeats", "1"),
    "stddev": ("--d-repeats", "1", "--stddev-group", "32"),
    "growing": ("--d-repeats", "1", "--stddev-group", "32"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One training."""

    name: str  # row of the table
    seed: int
    options: tuple[str, ...]  # of train.py

    @property
    def folder(self) -> str:
        return f"{self.name}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the command line asks for."""

    data: Path
    classifier: Path | None
    kimg: float
    seeds: Sequence[int]


def table4(wish: Wish) -> Iterator[Trial]:
    """Appendix E: each level is trained and faded in for 1/25 of the run, as in the paper.

    The paper shows 10 million images, with five steps of the critic for one of the generator and
    batches of 64. With far fewer images, one or two for one and batches of 32 give the generator
    enough steps.
    """
    phase = str(wish.kimg / 25)
    common = ("--batch", "32", "--training-kimg", phase, "--transition-kimg", phase,
              "--tick-kimg", str(wish.kimg / 10), "--metrics", "discrete-modes25600",
              "--detector", str(wish.classifier))
    for seed in wish.seeds:
        for size in ("k4", "k2"):
            for row, own in ROWS.items():
                preset = f"stacked-mnist-{size}-{row}"
                yield Trial(preset, seed, ("--preset", preset, *common, *own))


def zoo(wish: Wish) -> Iterator[Trial]:
    """The other GANs on images of 32x32, in widths that cost a CPU about the same."""
    for seed in wish.seeds:
        for preset, (base, most) in ZOO.items():
            yield Trial(preset, seed, (
                "--preset", preset, "--fmap-base", str(base), "--fmap-max", str(most),
                "--resolution", "32", "--tick-kimg", str(wish.kimg / 10), "--threads", "1",
                "--metrics", "swd2000,ms-ssim2000"))


def digits(wish: Wish) -> Iterator[Trial]:
    """A healthy training, one that collapses and one that diverges.

    Verdicts begin at kimg 9.2, so that 19.2 kimg show them before half of the run.
    """
    for seed in wish.seeds:
        for preset in DIGITS:
            yield Trial(preset, seed, ("--preset", preset, "--threads", "1", "--metrics",
                                       "ms-ssim900"))


def augmentation(wish: Wish) -> Iterator[Trial]:
    """With and without adaptive augmentation, on few images."""
    common = ("--preset", "ada-birds", "--resolution", "32", "--fmap-base", "64", "--fmap-max",
              "64", "--batch", "64", "--threads", "1", "--tick-kimg", str(wish.kimg / 10),
              "--metrics", "swd900", "--best", "", "--subset", "1")
    for seed in wish.seeds:
        yield Trial("adaptive", seed, common)
        yield Trial("none", seed, (*common, "--augment", "none"))


# name: (trials, heading -> column of the last metric or statistic)
EXPERIMENTS: dict[str, tuple[Callable[[Wish], Iterator[Trial]], Columns]] = {
    "table4": (table4, {"modes": "modes", "KL": "KL"}),
    "zoo": (zoo, {"SWD x1e3": "SWDx1e3_avg", "MS-SSIM": "MS-SSIM"}),
    "digits": (digits, {"loss D real": "loss/critic-real", "loss D fake": "loss/critic-fake",
                        "loss G": "loss/generator", "accuracy real": "accuracy/real",
                        "accuracy fake": "accuracy/fake", "MS-SSIM": "MS-SSIM"}),
    "augmentation": (augmentation, {"SWD x1e3": "SWDx1e3_avg", "p": "dials/augmentation",
                                    "r_v": "overfitting/ratio"}),
}


@click.command()
@click.argument("name", type=click.Choice(tuple(EXPERIMENTS)))
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--classifier", type=click.Path(path_type=Path), help="For table4.")
@click.option("--outdir", type=click.Path(path_type=Path), default=Path("experiments"),
              show_default=True)
@click.option("--kimg", type=float, required=True, help="Thousands of images for each run.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True,
              help="Runs at the same time, on one thread each.")
def main(name: str, data: Path, classifier: Path | None, outdir: Path, kimg: float, seeds: int,
         jobs: int) -> None:
    """Run an experiment, or what is left of it, and print its table."""
    trials_of, columns = EXPERIMENTS[name]
    wish = Wish(data=data, classifier=classifier, kimg=kimg, seeds=range(seeds))
    trials, folder = list(trials_of(wish)), outdir / name
    with ThreadPoolExecutor(jobs) as pool:
        for trial, run in zip(trials, pool.map(lambda t: trained(t, wish, folder), trials),
                              strict=True):
            click.echo(f"{trial.folder}: {run}", err=True)
    click.echo(table(trials, columns, folder))


def trained(trial: Trial, wish: Wish, folder: Path) -> Path:
    """The directory of the trial's run, once it is finished."""
    outdir = folder / trial.folder
    runs = sorted(outdir.glob("[0-9]*-*"))
    if runs and values(runs[-1]).get("progress/kimg", 0.0) >= wish.kimg:
        return runs[-1]
    resumable = runs and run_directory.states(runs[-1])
    words = ["--resume", str(runs[-1]), "--total-kimg", str(wish.kimg)] if resumable else [
        "--data", str(wish.data), "--outdir", str(outdir), "--seed", str(trial.seed),
        *trial.options, "--total-kimg", str(wish.kimg)]
    outdir.mkdir(parents=True, exist_ok=True)
    with (outdir / "output.txt").open("a") as output:
        subprocess.run([sys.executable, ROOT / "train.py", *words], check=True, stdout=output,
                       stderr=output, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return sorted(outdir.glob("[0-9]*-*"))[-1]


def values(run: Path) -> dict[str, float]:
    """The last statistics of a run and the last values of its metrics, by name."""
    found = dict(last_line(run / run_directory.STATISTICS_FILE))
    for file in sorted(run.glob(f"{run_directory.METRIC_PREFIX}*.jsonl")):
        found |= last_line(file).get("values", {})
    return found


def said(run: Path) -> list[tuple[float, str]]:
    """What somebody who watched was told, as (kimg, name of the verdict) where it changed."""
    told: list[tuple[float, str]] = []
    for kimg, verdict in verdicts(read_history(run)):
        if verdict.judged and (not told or told[-1][1] != verdict.name):
            told.append((kimg, verdict.name))
    return told


def verdict_cells(runs: Sequence[Path]) -> tuple[str, str]:
    """The last verdicts of some runs and how many had them, and when each was first given."""
    told = [changes for run in runs if (changes := said(run))]
    last = Counter(changes[-1][1] for changes in told)
    first = [next(kimg for kimg, name in changes if name == changes[-1][1]) for changes in told]
    names = ", ".join(f"{name} {count}/{len(runs)}" for name, count in last.most_common())
    return names, f"{min(first):.1f} to {max(first):.1f}" if first else ""


def last_line(file: Path) -> dict:  # type: ignore[type-arg]
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return json.loads(lines[-1]) if lines else {}


def table(trials: Sequence[Trial], columns: Columns, folder: Path) -> str:
    """Mean ± standard deviation over the seeds, as Markdown."""
    rows: dict[str, list[Path]] = {}
    for trial in trials:
        rows.setdefault(trial.name, []).append(
            sorted((folder / trial.folder).glob("[0-9]*-*"))[-1])
    heading = ["", *columns, "minutes", "seeds", "verdict at the end", "first at kimg"]
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)]]
    for name, directories in rows.items():
        runs = [values(directory) for directory in directories]
        cells = [spread([run[key] for run in runs if key in run]) for key in columns.values()]
        minutes = spread([60 * run["progress/hours"] for run in runs])
        lines.append([name, *cells, minutes, str(len(runs)), *verdict_cells(directories)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(numbers: Sequence[float]) -> str:
    if not numbers:
        return ""
    mean = statistics.fmean(numbers)
    return f"{mean:.4g} ± {statistics.stdev(numbers):.2g}" if len(numbers) > 1 else f"{mean:.4g}"


if __name__ == "__main__":
    main()
