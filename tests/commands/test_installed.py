"""progan where it is installed: in an empty directory, without the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.builders import noise_dataset, tiny_options

ROOT = Path(__file__).resolve().parents[2]
OF_A_CHECKOUT = re.compile(r"\b(?:train|generate|dataset_tool)\.py\b|python -m |\bdocs/|README")
SCRIPT = "import sys\nfrom progan.cli.main import main\nsys.exit(main())\n"
# Several commands in one process, as if each was started by itself.
RUNNER = """
import json, sys
from progan.cli.main import main
for words in json.load(sys.stdin):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        print("exit code", end.code)
"""
HELP = [
    ("--help",),
    *(
        (name, "--help")
        for name in (
            "dataset",
            "train",
            "generate",
            "metrics",
            "diagnosis",
            "report",
            "interop",
            "projection",
        )
    ),
    ("metrics", "neighbours", "--help"),
    ("metrics", "compare", "--help"),
    ("metrics", "discrete-modes", "--help"),
    ("dataset", "create-demo", "--help"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages, with the program that an installation makes."""
    folder = tmp_path_factory.mktemp("site")
    for package in ("progan", "metrics"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / "bin").mkdir()
    (folder / "bin" / "progan").write_text(SCRIPT)
    (folder / "bin" / "progan").chmod(0o755)
    return folder


def started(site: Path, place: Path, *words: str, code: int = 0, given: str = "") -> str:
    """What python says that is started in a place with the installed packages."""
    path = os.pathsep.join([str(site / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, *words], cwd=place, input=given, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=300,
        env={**os.environ, "PYTHONPATH": str(site), "PATH": path},
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def commands(site: Path, place: Path, *lines: tuple[str, ...], program: str = "") -> str:
    """What several commands say."""
    name = program or str(site / "bin" / "progan")
    return started(
        site, place, "-c", f"import sys; sys.argv[0] = {name!r}\n{RUNNER}", given=json.dumps(lines)
    )


def test_help_names_nothing_of_a_checkout(site: Path, tmp_path: Path) -> None:
    text = commands(site, tmp_path, *HELP)
    assert text.count("exit code 0") == len(HELP)
    assert OF_A_CHECKOUT.findall(text) == []
    assert "progan train --resume" in text and "made by progan dataset." in text


def test_python_m_progan(site: Path, tmp_path: Path) -> None:
    assert started(site, tmp_path, "-m", "progan", "--version").startswith("progan ")
    text = started(site, tmp_path, "-m", "progan", "train", "--help")
    assert text.startswith("Usage: python -m progan train ")
    assert "  python -m progan train --resume  " in text
    text = started(site, tmp_path, "-m", "progan", "train", code=1)
    assert "python -m progan dataset makes one" in text


def test_the_modules_of_an_installation(site: Path, tmp_path: Path) -> None:
    text = started(site, tmp_path, "-m", "metrics", "--help")
    assert "\n  python -m metrics --network" in text and "train.py" not in text
    assert "python -m progan train --subset" in " ".join(text.split())


@pytest.mark.parametrize(
    "module",
    ["metrics", "progan.diagnosis", "progan.report", "progan.interop", "progan.projection"],
)
def test_every_module_has_a_version(site: Path, tmp_path: Path, module: str) -> None:
    assert re.fullmatch(
        r"progan \d+\.\d+\.\d+\n", started(site, tmp_path, "-m", module, "--version")
    )


@pytest.mark.parametrize("script", ["train.py", "generate.py", "dataset_tool.py"])
def test_every_script_has_a_version(tmp_path: Path, script: str) -> None:
    text = started(ROOT, tmp_path, str(ROOT / script), "--version")
    assert re.fullmatch(r"progan \d+\.\d+\.\d+\n", text)


def test_files_and_messages_name_nothing_of_a_checkout(site: Path, tmp_path: Path) -> None:
    noise_dataset(tmp_path / "data")
    text = commands(
        site,
        tmp_path,
        ("train", "--data", "data", *tiny_options(total_kimg=1)),
        ("generate", "--network", "runs", "--seeds", "0", "--outdir", "out"),
        ("report", "runs"),
        ("metrics", "ms-ssim", "--network", "runs", "--data", "none"),
    )
    assert [*re.findall(r"exit code (\d)", text)] == ["0", "0", "0", "1"]
    (run,) = (tmp_path / "runs").iterdir()
    (card,) = run.glob("network-snapshot-*.md")
    (picture,) = (tmp_path / "out").iterdir()
    with Image.open(picture) as image:
        typed = image.info["Command"]
    assert typed == "progan generate --network runs --seeds 0 --outdir out"
    assert f"Generate images: progan generate --network {run.relative_to(tmp_path)}" in text
    assert "    progan generate --network network-snapshot-" in card.read_text()
    assert str(site) not in card.read_text()
    page = re.sub(r"data:[^\"')]*", "", (run / "report.html").read_text())
    assert "progan generate --network" in page
    for each in (text, card.read_text(), page):
        assert OF_A_CHECKOUT.findall(each) == []
