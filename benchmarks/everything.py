"""All benchmarks of speed, one after the other: about ten minutes on a GPU, half an hour on a CPU.

    python benchmarks/everything.py
    python benchmarks/everything.py --peer ../pytorch_GAN_zoo --peer ../pro_gan_pytorch

Results go to benchmarks/results/<device>.json and .md: steps at each resolution (train.py), what a
whole training takes (schedule.py), what a step spends its time on (step_profile.py), data
(loader.py) and pictures (generate.py).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import require_place, save  # noqa: E402
from progan.door import Door, device_option  # noqa: E402
from progan.errors import UserError  # noqa: E402
from progan.runtime import devices  # noqa: E402

PLACE = click.Path(path_type=Path)
# By type of device: the arguments of each benchmark. A CPU needs minutes for one step of the
# highest resolutions.
PARTS: dict[str, dict[str, str]] = {
    "cuda": {
        "train": "--variants eager-fp32,eager-bf16,compile-bf16,graph-bf16 --seconds 2",
        "step_profile": "--precision bf16",
        "loader": "--resolution 256",
        "generate": "--resolution 1024 --images 128",
    },
    "cpu": {
        "train": "--resolutions 4,8,16,32,64 --batch 4 --variants eager-fp32,eager-bf16 "
                 "--seconds 8",
        "step_profile": "--resolutions 4,8,16,32,64 --batch 4 --iterations 2",
        "loader": "--resolution 256",
        "generate": "--resolution 256 --images 16 --runs 3",
    },
}
PROJECTED = "graph-bf16"  # the way to compute whose whole training is projected


@click.command(cls=Door)
@click.option("--peer", "peers", type=PLACE, multiple=True, metavar="DIR", help="As in train.py.")
@device_option
@click.option("--output", type=PLACE, help="Where the results go, without suffix.")
def main(peers: tuple[Path, ...], device: str, output: Path | None) -> None:
    """Run all benchmarks of speed."""
    require_place(output)
    chosen = devices.choose(device)
    if chosen.type not in PARTS:
        raise UserError(f"These benchmarks are for {' and '.join(PARTS)}, not for {chosen.type}. "
                        "Choose another --device, or call them one by one.")
    results, pages = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in PARTS[chosen.type].items():
            more = [word for peer in peers for word in ("--peer", str(peer))]
            file = Path(folder) / f"{name}.json"
            run(name, *arguments.split(), "--device", chosen.type, "--output",
                str(file.with_suffix("")), *(more if name == "train" else ()))
            results[name] = json.loads(file.read_text("utf-8"))
            pages.append(f"## {name}\n\n{file.with_suffix('.md').read_text('utf-8')}")
            if name == "train" and chosen.type == "cuda":
                projection = run("schedule", str(file), "--variant", PROJECTED)
                pages.append(f"## schedule\n\n{indented(projection)}")
    save("", results | {"device": devices.describe(chosen)}, "\n".join(pages), output)


def run(name: str, *arguments: str) -> str:
    """Run a benchmark and return what it told; raises UserError if it fails."""
    click.echo(f"benchmarks/{name}.py {' '.join(arguments)}")
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"benchmarks/{name}.py ended with exit code {done.returncode}; what it "
                        "said is above. Nothing was written.")
    click.echo(done.stdout)
    return done.stdout


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


if __name__ == "__main__":
    main()
