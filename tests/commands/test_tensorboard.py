"""TensorBoard for real: its server shows the curves and the pictures of a run."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.train import main as train
from tests.builders import noise_dataset, tiny_options

START_SECONDS = 120


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    dataset = noise_dataset(folder / "noise")
    result = CliRunner().invoke(
        train,
        [
            "--data",
            str(dataset.path),
            "--outdir",
            str(folder / "runs"),
            *tiny_options(total_kimg=3),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return folder / "runs" / "00000-noise-v2-1gpu"


@pytest.fixture(scope="module")
def board(run: Path) -> Iterator[str]:
    """The address of a TensorBoard that serves the run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable, "-m", "tensorboard.main", "--logdir", str(run.parent), "--host",
            "127.0.0.1", "--port", str(port), "--load_fast", "false",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/data/runs", server, run.name)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], content: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if content in fetch(url).decode():
                return
        except urllib.error.URLError:
            pass
        time.sleep(0.2)
    pytest.fail(f"TensorBoard did not show {content} within {START_SECONDS} s")


def fetch(url: str, **query: object) -> bytes:
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        content: bytes = answer.read()
        return content


def test_scalars(run: Path, board: str) -> None:
    """Every number of stats.jsonl is a point of a curve."""
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    for tag in ("loss/critic", "schedule/alpha", "speed/images-per-second", "gradient/norm"):
        points = json.loads(fetch(f"{board}/data/plugin/scalars/scalars", tag=tag, run=run.name))
        assert [step for _, step, _ in points] == [row["images_seen"] for row in rows]
        np.testing.assert_allclose(
            [value for *_, value in points], [row[tag] for row in rows], rtol=1e-6
        )


def test_images(run: Path, board: str) -> None:
    """The newest sample grid is the file that lies in the run."""
    samples = json.loads(
        fetch(f"{board}/data/plugin/images/images", tag="samples", run=run.name, sample=0)
    )
    picture = fetch(f"{board}/data/plugin/images/individualImage?{samples[-1]['query']}&x=")
    newest = sorted(run.glob("fakes-0*.png"))[-1]
    np.testing.assert_array_equal(
        np.asarray(Image.open(BytesIO(picture))), np.asarray(Image.open(newest))
    )
