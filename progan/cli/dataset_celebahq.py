"""dataset_tool.py create-celebahq."""

from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_create import (
    CONTINUES,
    Writing,
    dest_option,
    holdout_option,
    on_error_option,
    write,
    writing_options,
)
from progan.door import PATH, Door
from progan.errors import UserError


@click.command("create-celebahq", cls=Door)
@click.option("--source", type=PATH, required=True,
              help="Folder of CelebA: img_celeba (or img_celeba.zip) and "
                   "Anno/list_landmarks_celeba.txt.")
@dest_option
@click.option("--deltas", type=PATH,
              help="Folder of the published deltas: image_list.txt, deltas00000.zip … or loose "
                   "deltaNNNNN.dat. Without them, faces are only cut out, and improved by "
                   "--enhance.")
@click.option("--enhance", type=PATH, metavar="FILE",
              help="TorchScript network that improves pictures before: images uint8 [N,3,H,W] to "
                   "[N,3,kH,kW].")
@click.option("--resolution", type=int, default=1024, show_default=True,
              help="Side of the images in pixels, a power of two from 32 to 1024.")
@click.option("--max-images", type=click.IntRange(min=1),
              help="Keep at most so many: the best ones by their power spectrum; with --deltas, "
                   "the first ones of the list.")
@click.option("--strict", is_flag=True,
              help="With --deltas: take only images that are bit by bit those of CelebA-HQ.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1),
              help="With --deltas: draw the images of --max-images with this seed. Draws those of "
                   "--holdout, too.")
@holdout_option
@writing_options
@on_error_option
def create_celebahq(
    source: Path, dest: Path, holdout: float, how: Writing, **options: Any
) -> None:
    """Make CelebA-HQ of CelebA in the wild.

    With the published deltas, it is CelebA-HQ itself; without them, faces are cut out in the same
    way, and --max-images keeps the sharpest. celebahq.jsonl in the dataset tells what became of
    each.
    """
    if how.shard is not None:
        raise UserError("create-celebahq judges all faces together and reports on them in one "
                        "file: leave --shard away.")
    from progan.data.celebahq.importer import CelebaHqOptions, import_celebahq
    from progan.data.celebahq.report import report_beside, write_report

    recorded = {"source": source, "holdout": holdout, **options}
    recorded = {name: str(value) if isinstance(value, Path) else value
                for name, value in sorted(recorded.items())}
    with report_beside(dest, recorded) as report:
        try:
            chosen = CelebaHqOptions(**options, workers=how.workers)
            faces = import_celebahq(source, dest, chosen, report, click.echo)
        except KeyboardInterrupt:
            click.echo(CONTINUES, err=True)
            raise
        write(faces, dest, how, recorded, options["on_error"])
        click.echo(write_report(report, dest))
