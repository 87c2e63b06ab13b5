"""setup.cfg: `pip install .` takes every file along, and its commands and extras exist."""

import configparser
import importlib
import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("progan", "metrics")
EXTRA = re.compile(r'pip install [\'"](?:progan|\.)\[([\w,]+)\]')


def read_setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


def test_every_file_of_a_package_is_installed() -> None:
    data = read_setup()["options.package_data"]
    files = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    code = {file.parent for file in files if file.suffix == ".py"}
    assert {folder for folder in code if folder / "__init__.py" not in files} == set()
    others = [file for file in files if file.suffix != ".py"]
    missing = [
        file
        for file in others
        if not any(
            fnmatch(file.name, pattern.strip())
            for pattern in data.get(".".join(file.parent.parts), "").split(",")
        )
    ]
    assert others and missing == []


def test_the_program_exists() -> None:
    for line in read_setup()["options.entry_points"]["console_scripts"].split("\n")[1:]:
        module, function = line.partition("=")[2].strip().split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_every_extra_that_a_message_names_exists() -> None:
    extras = read_setup()["options.extras_require"]
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    texts += [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    named = {
        name
        for path in texts
        for names in EXTRA.findall(path.read_text("utf-8").replace("\\", ""))
        for name in names.split(",")
    }
    assert {"video", "onnx", "hub"} <= named <= set(extras)
    assert all(
        line in extras["test"].split("\n")
        for name in named - {"docs", "lint", "test"}
        for line in extras[name].strip().split("\n")
    )
