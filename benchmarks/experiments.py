"""Trainings that belong together, several seeds each, as one table.

    python benchmarks/experiments.py table4 --data mnist-rgb --classifier C --kimg 400
    python benchmarks/experiments.py zoo --data cifar10 --kimg 200 --seeds 1
    python benchmarks/experiments.py digits --data mnist28 --kimg 19.2 --seeds 10
    python benchmarks/experiments.py penalty-demo --data portraits --kimg 28
    python benchmarks/experiments.py penalty-cifar10 --data cifar10 --kimg 100

Every run is a plain train.py. What was interrupted is continued by the same command, and what is
finished is not repeated, or trained on if `--kimg` is more than it was. Each outcome is added to
`benchmarks/results/<experiment>.json`, from where another machine goes on.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from metrics.evaluation import BASELINE  # noqa: E402
from progan import run_directory  # noqa: E402
from progan.diagnosis.diagnose import verdicts  # noqa: E402
from progan.diagnosis.findings import current_name  # noqa: E402
from progan.diagnosis.history import read_history  # noqa: E402
from progan.runtime.files import write_atomically  # noqa: E402

Columns = Mapping[str, str]  # heading -> file or statistic that the number comes from
HELD_OUT = "held-out.jsonl"  # metrics of all snapshots against what no training saw

# Preset: fmap_base and fmap_max.
ZOO = {
    "dcgan": (256, 64),
    "lsgan": (256, 64),
    "wgan": (256, 64),
    "wgan-gp": (256, 64),
    "wgan-gp-resnet": (128, 32),
    "began": (12, 12),
    "ebgan": (12, 12),
    "dragan": (256, 64),
}
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
    held_out: tuple[str, ...] = ()  # words for python -m metrics --held-out, of all snapshots

    @property
    def folder(self) -> str:
        return f"{self.name}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a trial.

    Attributes:
        values: By heading.
        verdict: What somebody who watched was told at the end, and the kimg where that began.
        minutes, verdict_kimg: None: not known.
    """

    name: str
    seed: int
    kimg: float
    minutes: float | None
    values: dict[str, float]
    verdict: str
    verdict_kimg: float | None
    torch: str


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
    common = (
        "--batch",
        "32",
        "--training-kimg",
        phase,
        "--transition-kimg",
        phase,
        "--tick-kimg",
        str(wish.kimg / 10),
        "--metrics",
        "discrete-modes25600",
        "--detector",
        str(wish.classifier),
    )
    for seed in wish.seeds:
        for size in ("k4", "k2"):
            for row, own in ROWS.items():
                preset = f"stacked-mnist-{size}-{row}"
                yield Trial(preset, seed, ("--preset", preset, *common, *own))


def zoo(wish: Wish) -> Iterator[Trial]:
    """The other GANs on images of 32x32, in widths that cost a CPU about the same.

    Batches of 16 make enough steps of few images.
    """
    for seed in wish.seeds:
        for preset, (base, most) in ZOO.items():
            yield Trial(
                preset,
                seed,
                (
                    "--preset",
                    preset,
                    "--fmap-base",
                    str(base),
                    "--fmap-max",
                    str(most),
                    "--resolution",
                    "32",
                    "--batch",
                    "16",
                    "--tick-kimg",
                    str(wish.kimg / 10),
                    "--snapshot-ticks",
                    "5",
                    "--threads",
                    "1",
                    "--metrics",
                    "swd2000,ms-ssim2000",
                ),
            )


def digits(wish: Wish) -> Iterator[Trial]:
    """A good training, one that collapses and one that diverges.

    Verdicts begin at kimg 9.2, so that 19.2 kimg show them before half of the run.
    """
    for seed in wish.seeds:
        for preset in DIGITS:
            yield Trial(
                preset, seed, ("--preset", preset, "--threads", "1", "--metrics", "ms-ssim900")
            )


def augmentation(wish: Wish) -> Iterator[Trial]:
    """With and without adaptive augmentation, on a thousand images of 16x16.

    The critic is wide, learns fast and has a weak penalty, so that it knows them by heart after
    a few hundred epochs; the probability follows it twice as fast as in the papers.
    """
    common = (
        "--preset",
        "ada-birds",
        "--resolution",
        "16",
        "--fmap-base",
        "64",
        "--fmap-max",
        "128",
        "--d-fmap-base",
        "128",
        "--d-norm",
        "none",
        "--dropout",
        "0",
        "--objective",
        "r1",
        "--gp-weight",
        "0.3",
        "--d-lr",
        "0.002",
        "--g-lr",
        "0.0005",
        "--beta1",
        "0",
        "--batch",
        "64",
        "--threads",
        "1",
        "--tick-kimg",
        "16",
        "--snapshot-ticks",
        "2",
        "--metrics",
        "",
        "--best",
        "",
    )
    adaptive = (
        "--augment-control",
        "constant",
        "--augment-accuracy",
        "0.7",
        "--augment-steps",
        "1000",
    )
    for seed in wish.seeds:
        yield Trial("adaptive", seed, (*common, *adaptive), held_out=("swd", "--repeats", "5"))
        yield Trial(
            "none", seed, (*common, "--augment", "none"), held_out=("swd", "--repeats", "5")
        )


def penalty_demo(wish: Wish) -> Iterator[Trial]:
    """The gradient of wgan-gp at the final or at the trained resolution, the settings of demo."""
    yield from _gradient_at(wish, "demo")


def penalty_cifar10(wish: Wish) -> Iterator[Trial]:
    """The same with the settings of cpu, mirrored images, and bf16, which takes two thirds of the
    time of float32."""
    yield from _gradient_at(wish, "cpu", "--mirror", "--precision", "bf16")


def _gradient_at(wish: Wish, preset: str, *options: str) -> Iterator[Trial]:
    for seed in wish.seeds:
        for resolution in ("final", "trained"):
            yield Trial(
                f"{preset}-{resolution}",
                seed,
                (
                    "--preset",
                    preset,
                    *options,
                    "--gp-resolution",
                    resolution,
                    "--threads",
                    "1",
                    "--snapshot-ticks",
                    "100",
                    "--metrics",
                    "swd3000,ms-ssim3000",
                ),
            )


# name: (trials, heading -> column of the last metric or statistic)
EXPERIMENTS: dict[str, tuple[Callable[[Wish], Iterator[Trial]], Columns]] = {
    "table4": (table4, {"modes": "modes", "KL": "KL"}),
    "zoo": (zoo, {"SWD x1e3": "SWDx1e3_avg", "MS-SSIM": "MS-SSIM"}),
    "digits": (
        digits,
        {
            "loss D real": "loss/critic-real",
            "loss D fake": "loss/critic-fake",
            "loss G": "loss/generator",
            "accuracy real": "accuracy/real",
            "accuracy fake": "accuracy/fake",
            "MS-SSIM": "MS-SSIM",
        },
    ),
    "penalty-demo": (penalty_demo, {"SWD x1e3": "SWDx1e3_avg", "MS-SSIM": "MS-SSIM"}),
    "penalty-cifar10": (penalty_cifar10, {"SWD x1e3": "SWDx1e3_avg", "MS-SSIM": "MS-SSIM"}),
    "augmentation": (
        augmentation,
        {
            "SWD x1e3 against held-out images": "held-out/SWDx1e3_avg",
            "the least on the way": "held-out/SWDx1e3_avg/least",
            "p": "dials/augmentation",
            "r_v": "overfitting/ratio",
            "accuracy real": "accuracy/real",
        },
    ),
}


@click.command()
@click.argument("name", type=click.Choice(tuple(EXPERIMENTS)))
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--classifier", type=click.Path(path_type=Path), help="For table4.")
@click.option(
    "--outdir", type=click.Path(path_type=Path), default=Path("experiments"), show_default=True
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "benchmarks" / "results",
    help="Where the outcomes are kept.",
)
@click.option("--kimg", type=float, required=True, help="Thousands of images for each run.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="Runs at the same time, on one thread each.",
)
def main(
    name: str,
    data: Path,
    classifier: Path | None,
    outdir: Path,
    results: Path,
    kimg: float,
    seeds: int,
    jobs: int,
) -> None:
    """Run an experiment, or what is left of it, and print its table."""
    trials_of, columns = EXPERIMENTS[name]
    wish = Wish(data=data, classifier=classifier, kimg=kimg, seeds=range(seeds))
    results.mkdir(parents=True, exist_ok=True)
    store, folder = results / f"{name}.json", outdir / name
    outcomes = {(each.name, each.seed): each for each in read_outcomes(store) if each.kimg >= kimg}
    left = [trial for trial in trials_of(wish) if (trial.name, trial.seed) not in outcomes]
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(lambda trial: outcome(trial, wish, folder, columns), left):
            outcomes[found.name, found.seed] = found
            write_outcomes(store, outcomes.values())
            click.echo(f"{found.name}, seed {found.seed}: {found.minutes} min", err=True)
    click.echo(table([outcomes[trial.name, trial.seed] for trial in trials_of(wish)], columns))


def read_outcomes(store: Path) -> list[Outcome]:
    stored = json.loads(store.read_text()) if store.exists() else []
    return [Outcome(**each | {"verdict": current_name(each["verdict"])}) for each in stored]


def write_outcomes(store: Path, outcomes: Iterable[Outcome]) -> None:
    """One line for each, so that a comparison of two versions shows what is new."""
    ordered = sorted(outcomes, key=lambda each: (each.name, each.seed))
    lines = ",\n".join(json.dumps(asdict(each)) for each in ordered)
    write_atomically(store, f"[\n{lines}\n]\n")


def outcome(trial: Trial, wish: Wish, folder: Path, columns: Columns) -> Outcome:
    """Train, or train on, and measure."""
    run = trained(trial, wish, folder)
    found, told = values(run), said(run)
    if trial.held_out:
        found |= held_out_values(trial, wish, run)
    last = told[-1][1] if told else ""
    return Outcome(
        name=trial.name,
        seed=trial.seed,
        kimg=found["progress/kimg"],
        minutes=round(60 * found["progress/hours"], 2),
        torch=version("torch"),
        values={
            heading: float(f"{found[key]:.5g}") for heading, key in columns.items() if key in found
        },
        verdict=last,
        verdict_kimg=next((kimg for kimg, name in told if name == last), None),
    )


def trained(trial: Trial, wish: Wish, folder: Path) -> Path:
    """The directory of the trial's run, once it is finished."""
    outdir = folder / trial.folder
    runs = sorted(outdir.glob("[0-9]*-*"))
    if runs and values(runs[-1]).get("progress/kimg", 0.0) >= wish.kimg:
        return runs[-1]
    resumable = runs and run_directory.list_states(runs[-1])
    words = (
        ["--resume", str(runs[-1]), "--total-kimg", str(wish.kimg)]
        if resumable
        else [
            "--data",
            str(wish.data),
            "--outdir",
            str(outdir),
            "--seed",
            str(trial.seed),
            *trial.options,
            "--total-kimg",
            str(wish.kimg),
        ]
    )
    outdir.mkdir(parents=True, exist_ok=True)
    call([str(ROOT / "train.py"), *words], outdir / "output.txt")
    return sorted(outdir.glob("[0-9]*-*"))[-1]


def held_out_values(trial: Trial, wish: Wish, run: Path) -> dict[str, float]:
    """The last and the least value of each metric against the held-out images."""
    lines = run / HELD_OUT
    lines.unlink(missing_ok=True)
    call(
        [
            "-m",
            "metrics",
            *trial.held_out,
            "--held-out",
            "--network",
            str(run),
            "--data",
            str(wish.data),
            "--json",
            str(lines),
        ],
        run.parent / "output.txt",
    )
    rows = [
        line["values"]
        for line in map(json.loads, lines.read_text("utf-8").splitlines())
        if line["row"] != BASELINE
    ]
    course = {key: [row[key]["mean"] for row in rows] for key in rows[-1]}
    return {f"held-out/{key}": each[-1] for key, each in course.items()} | {
        f"held-out/{key}/least": min(each) for key, each in course.items()
    }


def call(words: Sequence[str], output: Path) -> None:
    """Run python on one thread; what it prints goes to a file."""
    with output.open("a") as file:
        ended = subprocess.run(
            [sys.executable, *words],
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if ended.returncode:
        raise click.ClickException(
            f"{' '.join(words)} ended with {ended.returncode}; {output} "
            "says why. The same command goes on."
        )


def values(run: Path) -> dict[str, float]:
    """The last statistics of a run and the last values of its metrics, by name."""
    found = dict(last_line(run / run_directory.STATISTICS_FILE))
    for file in sorted(run.glob(f"{run_directory.METRIC_PREFIX}*.jsonl")):
        line = last_line(file)
        found |= {} if "metric" in line else line.get("values", {})  # the others are measured later
    return found


def said(run: Path) -> list[tuple[float, str]]:
    """What somebody who watched was told, as (kimg, name of the verdict) where it changed."""
    told: list[tuple[float, str]] = []
    for kimg, verdict in verdicts(read_history(run)):
        if verdict.judged and (not told or told[-1][1] != verdict.name):
            told.append((kimg, verdict.name))
    return told


def verdict_cells(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """The last verdicts of some runs and how many had them, and when each was first given."""
    counted = Counter(each.verdict for each in outcomes if each.verdict)
    first = [each.verdict_kimg for each in outcomes if each.verdict_kimg is not None]
    names = ", ".join(f"{name} {count}/{len(outcomes)}" for name, count in counted.most_common())
    return names, f"{min(first):.1f} to {max(first):.1f}" if first else ""


def last_line(file: Path) -> dict:  # type: ignore[type-arg]
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return json.loads(lines[-1]) if lines else {}


def table(outcomes: Sequence[Outcome], columns: Columns) -> str:
    """Mean ± standard deviation over the seeds, as Markdown."""
    rows: dict[str, list[Outcome]] = {}
    for each in outcomes:
        rows.setdefault(each.name, []).append(each)
    heading = ["", *columns, "minutes", "seeds", "status at the end", "first at kimg"]
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)]]
    for name, row in rows.items():
        cells = [
            spread([each.values[key] for each in row if key in each.values]) for key in columns
        ]
        minutes = spread([each.minutes for each in row if each.minutes is not None])
        lines.append([name, *cells, minutes, str(len(row)), *verdict_cells(row)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(numbers: Sequence[float]) -> str:
    if not numbers:
        return ""
    mean = statistics.fmean(numbers)
    return f"{mean:.4g} ± {statistics.stdev(numbers):.2g}" if len(numbers) > 1 else f"{mean:.4g}"


if __name__ == "__main__":
    main()
