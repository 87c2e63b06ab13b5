"""The commands create-from-images, -parquet and -webdataset, create-demo and create-celebahq."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_options import (
    RESUME_HINT,
    Writing,
    add_source_options,
    add_writing_options,
    combine_options,
    dest_option,
    holdout_option,
    make_num_images_options,
    make_resize_filter_option,
    make_resolution_option,
    make_source_option,
    on_error_option,
    print_line,
    write_and_report,
)
from progan.command import PATH, Command, FiniteRange

# fmt: off
_add_conversion_options = combine_options(
    click.option("--resolution", type=int,
        help="Side of the images in pixels, a power of two from 4 to 1024; if not given, the "
        "largest that no image has to be enlarged for."),
    click.option("--size", metavar="WIDTHxHEIGHT",
        help="The same for images that are not square, such as 1280x768; both sides are halved "
        "until the shorter one is 4 to 7 px."),
    click.option("--crop", type=click.Choice(["center", "pad", "stretch", "wide", "random"]),
        default="center", show_default=True,
        help="How images get their shape: cut out the middle, add black borders, distort, cut out "
        "a band of 16:9 and lay it on a black square, or cut out a part wherever --seed puts it."),
    make_resize_filter_option("lanczos"),
    click.option("--channels", type=click.Choice(["1", "3", "4"]),
        callback=lambda _, __, text: int(text) if text else None,
        help="Convert all images to grey (1), RGB (3) or RGBA (4); needed only if they differ."),
    click.option("--alpha-color", metavar="COLOR", default="white", show_default=True,
        help="What transparency is laid on with --channels 1 or 3: a name or #rrggbb."),
    click.option("--white-level", type=FiniteRange(min=0, min_open=True), metavar="VALUE",
        help="Grey value that becomes white in images of one channel with more than 8 bits: 4095 "
        "for 12 bits stored in 16; 65535 if not given. Floating-point images need it."),
)


@click.command("create-from-images", cls=Command)
@add_source_options("Folder, with all folders in it, zip or tar file.")
@_add_conversion_options
@click.option("--labels", metavar="auto|folders|none|FILE", default="auto", show_default=True,
    help="Class labels from the names of folders, or from a file: .csv or .tsv with a file name "
    "and a label in each row, or StyleGAN's dataset.json. auto: by a dataset.json in the root, or "
    "else by folders if all images are in such.")
@add_writing_options
@on_error_option
# fmt: on
def create_from_images(
    source: Path, dest: Path, holdout: float, how: Writing, **options: Any
) -> None:
    """Make a dataset of a folder, zip or tar file of images.

    They may have any size and kind: see --crop, --resolution and --channels. With --on-error skip,
    images of one colour and copies of earlier files are left out too.
    """
    from progan.data.importers.images import ImageOptions, import_images

    images = import_images(source, ImageOptions(**options), print_line)
    recorded = {"source": source, **options, "holdout": holdout}
    write_and_report(images, dest, how, recorded, options["on_error"])


# fmt: off
@click.command("create-from-parquet", cls=Command)
@add_source_options("Parquet file, or folder of such.")
@click.option("--image-column", metavar="NAME",
    help="Column of the images, bytes of files or structs of bytes and path; needed if there are "
    "several.")
@click.option("--label-column", metavar="NAME|none",
    help="Column of the labels; if not given, the one that the metadata declare, or one called "
    "label.")
@_add_conversion_options
@add_writing_options
@on_error_option
# fmt: on
def create_from_parquet(
    source: Path,
    dest: Path,
    holdout: float,
    how: Writing,
    image_column: str | None,
    label_column: str | None,
    **options: Any,
) -> None:
    """Make a dataset of images in Parquet files, as hubs of datasets serve them.

    It needs the package pyarrow: pip install pyarrow.
    """
    from progan.data.importers.images import ImageOptions
    from progan.data.importers.parquet import import_parquet

    columns = {"image_column": image_column, "label_column": label_column}
    images = import_parquet(source, ImageOptions(**options), print_line, **columns)
    recorded = {"source": source, **options, **columns, "holdout": holdout}
    write_and_report(images, dest, how, recorded, options["on_error"])


# fmt: off
@click.command("create-from-webdataset", cls=Command)
@add_source_options("Tar file, folder of such, or a pattern such as shard-{000..031}.tar.")
@click.option("--image-key", metavar="EXTENSION",
    help="Extension of the images, such as jpg; needed if samples have several.")
@click.option("--label-key", metavar="KEY|none",
    help="Key of the .json of a sample that is its label; if not given, .cls is.")
@_add_conversion_options
@add_writing_options
@on_error_option
# fmt: on
def create_from_webdataset(
    source: Path,
    dest: Path,
    holdout: float,
    how: Writing,
    image_key: str | None,
    label_key: str | None,
    **options: Any,
) -> None:
    """Make a dataset of the shards of a WebDataset: tar files with 0001.jpg, 0001.cls."""
    from progan.data.importers.images import ImageOptions
    from progan.data.importers.webdataset import import_webdataset

    keys = {"image_key": image_key, "label_key": label_key}
    images = import_webdataset(source, ImageOptions(**options), print_line, **keys)
    recorded = {"source": source, **options, **keys, "holdout": holdout}
    write_and_report(images, dest, how, recorded, options["on_error"])


@click.command("create-demo", cls=Command)
@dest_option
@make_resolution_option(64)
@combine_options(
    *make_num_images_options(10000, "portraits", 0, "Another seed makes other portraits.")
)
@holdout_option
@add_writing_options
def create_demo(
    dest: Path, resolution: int, num_images: int, seed: int, holdout: float, how: Writing
) -> None:
    """Make a dataset of procedurally generated portraits, to try everything without a download."""
    from progan.data.portraits.generate import import_demo

    images = import_demo(resolution=resolution, num_images=num_images, seed=seed)
    write_and_report(
        images,
        dest,
        how,
        {"resolution": resolution, "num_images": num_images, "seed": seed, "holdout": holdout},
    )


# fmt: off
@click.command("create-celebahq", cls=Command)
@make_source_option(
    "Folder of CelebA: img_celeba (or img_celeba.zip) and Anno/list_landmarks_celeba.txt."
)
@dest_option
@click.option("--deltas", type=PATH,
    help="Folder of the published deltas: image_list.txt, deltas00000.zip … or loose "
    "deltaNNNNN.dat. Without them, faces are only cut out, and improved by --enhance.")
@click.option("--enhance", type=PATH, metavar="FILE",
    help="TorchScript network that improves images first: images uint8 [N,3,H,W] to [N,3,kH,kW].")
@click.option("--resolution", type=int, default=1024, show_default=True,
    help="Side of the images in pixels, a power of two from 32 to 1024.")
@click.option("--max-images", type=click.IntRange(min=1),
    help="Keep at most so many: the best ones by their power spectrum; with --deltas, the first "
    "ones of the list.")
@click.option("--strict", is_flag=True,
    help="With --deltas: take only images that are bit by bit those of CelebA-HQ.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1),
    help="With --deltas: select the images of --max-images at random with this seed. Also selects "
    "those of --holdout.")
@holdout_option
@partial(add_writing_options, in_parts=False)
@on_error_option
# fmt: on
def create_celebahq(source: Path, dest: Path, holdout: float, how: Writing, **options: Any) -> None:
    """Make CelebA-HQ of CelebA in the wild.

    With the published deltas, it is CelebA-HQ itself; without them, faces are cut out in the same
    way, and --max-images keeps the sharpest. celebahq.jsonl in the dataset lists what became of
    each.
    """
    from progan.data.celebahq.importer import CelebaHqOptions, import_celebahq
    from progan.data.celebahq.report import open_temporary_report, write_report
    from progan.data.image_source import SourceFailure

    recorded = {"source": source, "holdout": holdout, **options}
    recorded = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in sorted(recorded.items())
    }
    with open_temporary_report(dest, recorded) as report:
        try:
            chosen = CelebaHqOptions(**options, workers=how.workers, compress=how.compress)
            faces = import_celebahq(source, dest, chosen, report, print_line)
        except (KeyboardInterrupt, SourceFailure):
            click.echo(RESUME_HINT, err=True)
            raise
        write_and_report(faces, dest, how, recorded, options["on_error"])
        print_line(write_report(report, dest))


CREATE_COMMANDS = (
    create_from_images,
    create_from_parquet,
    create_from_webdataset,
    create_demo,
    create_celebahq,
)
