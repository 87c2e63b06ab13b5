"""Imports go down the layers only; packages of one layer do not import each other."""

import ast
import importlib.util
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.for_each import for_each

ROOT = Path(__file__).resolve().parents[2]

# From the bottom up. A package imports itself and what is below; only files of the shared layer may
# import each other. `progan` stands for progan/__init__.py, which holds the version.
LAYERS = {
    "errors": ("progan", "errors"),
    "0": ("ops", "runtime", "pretrained", "hub"),
    "1": (
        "config",
        "option_fields",
        "sizes",
        "presets",
        "options",
        "aliases",
        "schedule",
        "run_directory",
        "images",
        "command",
        "invocation",
        "batch_split",
    ),
    "2": ("networks", "augment", "data"),
    "2b": ("losses",),  # of what discriminators return
    "3": ("diagnosis", "sampling"),
    "3b": ("interop",),  # it reads files of others as `sampling` reads ours
    "4": ("training", "metrics", "api"),
    # They go on from what training and metrics have left, and from what networks draw.
    "4b": ("report", "projection", "explorer"),
    "5": ("cli",),
    "python -m progan": ("__main__",),
    "entry points": ("train", "generate", "dataset_tool"),
}
SHARED_LAYER = "1"
HEIGHTS = {layer: height for height, layer in enumerate(LAYERS)}
LAYER_OF = {package: layer for layer, packages in LAYERS.items() for package in packages}
SCRIPTS = LAYERS["entry points"]

VAGUE_NAMES = {"utils", "util", "misc", "common", "helpers", "base", "manager"}
# `import progan` is fast and imports the lowest layer; progan.load imports others when called.
PACKAGE_INIT = "progan.__init__"
# torchvision has the downloaders of known datasets, with their addresses and checksums. A CPU-only
# torch cannot import it, so that one file may, inside of functions, when it is asked to download.
DOWNLOADS = "progan.data.importers.catalog"
CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
CONTAINER_TYPES = {"list", "dict", "set", "bytearray", "deque", "defaultdict", "Counter"}


def name_of(path: Path) -> str:
    """progan/networks/__init__.py -> 'progan.networks.__init__'."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


PATHS = sorted([*ROOT.glob("*.py"), *ROOT.glob("progan/**/*.py"), *ROOT.glob("metrics/**/*.py")])
SOURCES = {name_of(path): path.read_text("utf-8") for path in PATHS}


def package_of(module: str) -> str:
    """'progan.networks.layers' -> 'networks', 'metrics.swd' -> 'metrics', 'train' -> 'train'."""
    first, *rest = module.removesuffix(".__init__").split(".")
    return rest[0] if first == "progan" and rest else first


def imports(module: str, source: str) -> Iterator[str]:
    """Every module that the source names in an import, wherever in the file it stands."""
    package = module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = "." * node.level + (node.module or "")
            parent = importlib.util.resolve_name(parent, package) if node.level else parent
            # 'from progan import schedule' names a package, '__version__' does not.
            yield from (
                {f"progan.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
                or {parent}
                if parent == "progan"
                else {parent}
            )


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("progan", "metrics", *SCRIPTS)


def forbidden_imports(module: str, source: str) -> list[str]:
    """What the source imports from its own layer's other packages, from above, or from nowhere."""
    source = at_once(source) if module == PACKAGE_INIT else source
    package = package_of(module)
    if package not in LAYER_OF:
        return [f"{module}: the package {package!r} has no layer; put it into LAYERS in {__file__}"]
    faults = []
    for target in filter(is_ours, imports(module, source)):
        other = package_of(target)
        if other not in LAYER_OF:
            faults.append(f"{module} imports {target}, whose package {other!r} has no layer")
            continue
        here, there = LAYER_OF[package], LAYER_OF[other]
        if package == other or here == there == SHARED_LAYER or HEIGHTS[there] < HEIGHTS[here]:
            continue
        where = "of the same layer" if there == here else "from above"
        faults.append(f"{module} ({here}) imports {target} ({there}): {where}")
    return faults


def cycle(sources: dict[str, str]) -> list[str]:
    """Modules that import each other in a circle when they are loaded; [] if none do."""
    known = {name.removesuffix(".__init__") for name in sources}
    graph = {}
    for name, source in sources.items():
        graph[name.removesuffix(".__init__")] = set(imports(name, at_once(source))) & known
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def at_once(source: str) -> str:
    """The imports of a source that are made when it is loaded.

    What is imported inside of functions, or for type checkers only, comes later or never.
    """
    return "\n".join(
        ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    )


def bad_habits(module: str, source: str) -> list[str]:
    """Globals that are rebound, mutable defaults, imports by string, torchvision, vague names."""
    faults = [
        f"{module}: a module called {part!r} holds anything; name its one subject"
        for part in module.split(".")
        if part in VAGUE_NAMES
    ]
    faults += [
        f"{module} imports {target}, which a CPU-only torch cannot"
        for target in imports(module, at_once(source) if module == DOWNLOADS else source)
        if target.split(".")[0] == "torchvision"
    ]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Global):
            faults.append(f"{module}:{node.lineno}: global {', '.join(node.names)}")
        elif isinstance(node, (ast.Name, ast.Attribute)) and called(node) in (
            "__import__",
            "import_module",
        ):
            faults.append(f"{module}:{node.lineno}: an import by a string")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            faults += [
                f"{module}:{value.lineno}: a mutable default"
                for value in defaults
                if is_mutable(value)
            ]
    return faults


def is_mutable(value: ast.expr) -> bool:
    return isinstance(value, CONTAINERS) or (
        isinstance(value, ast.Call) and called(value.func) in CONTAINER_TYPES
    )


def called(function: ast.expr) -> str:
    """The last part of a name: 'collections.deque' -> 'deque'."""
    return getattr(function, "attr", getattr(function, "id", ""))


def test_imports_go_down_only() -> None:
    assert [
        fault for module, source in SOURCES.items() for fault in forbidden_imports(module, source)
    ] == []


def test_code_rules_are_kept() -> None:
    assert [
        fault for module, source in SOURCES.items() for fault in bad_habits(module, source)
    ] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle(SOURCES) == []


def test_all_sources_are_read() -> None:
    some = {"progan.presets", "progan.networks.__init__", "progan.cli.train", "train"}
    assert some <= set(SOURCES)
    assert set(SCRIPTS) == {path.stem for path in ROOT.glob("*.py")}


@for_each(
    ("module", "source"),
    [
        ("progan.networks.layers", "from progan.config import Network"),
        ("progan.networks.layers", "import progan.networks.generator"),
        ("progan.networks.layers", "from .generator import Generator"),
        ("progan.presets", "from progan.config import Run"),
        ("progan.ops", "from progan import __version__"),
        ("progan.data.loader", "from progan import schedule"),
        ("metrics.swd", "from progan.sampling.render import render"),
        ("train", "from progan.cli.train import main"),
        ("metrics.cli", "from progan.command import Command"),
        ("progan.report.page", "from metrics.options import GOALS"),
        ("progan.cli.main", "from progan.report.cli import main"),
        ("progan.ops", "import torch.nn.functional as F"),
    ],
)
def test_the_checker_lets_pass(module: str, source: str) -> None:
    assert forbidden_imports(module, source) == []


@for_each(
    ("module", "source", "fault"),
    [
        ("progan.ops", "from progan.config import Network", "from above"),
        ("progan.ops", "from progan.runtime import files", "of the same layer"),
        ("progan.ops", "from progan import schedule", "from above"),
        ("progan.ops", "from progan import __version__, schedule", "from above"),
        ("progan.networks.layers", "from progan import augment", "of the same layer"),
        ("progan.networks.layers", "from ..data import reader", "of the same layer"),
        ("progan.data.loader", "def f():\n    from progan.training import loop", "from above"),
        (
            "progan.data.loader",
            "if TYPE_CHECKING:\n    from progan.sampling import x",
            "from above",
        ),
        ("progan.training.loop", "from metrics.swd import swd", "of the same layer"),
        ("progan.training.loop", "from progan.cli.train import main", "from above"),
        ("progan.sampling.render", "import metrics", "from above"),
        ("progan.training.loop", "from progan.report.page import render_page", "from above"),
        ("metrics.swd", "import train", "from above"),
        ("metrics.cli", "from progan.cli.main import main", "from above"),
        ("progan.attic.boxes", "", "the package 'attic' has no layer"),
        ("progan.cli.train", "from progan.attic import boxes", "package 'attic' has no layer"),
    ],
)
def test_the_checker_finds_forbidden_imports(module: str, source: str, fault: str) -> None:
    (found,) = forbidden_imports(module, source)
    assert fault in found


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("progan.utils", "", "'utils'"),
        ("progan.data.helpers.crop", "", "'helpers'"),
        ("progan.x", "def f():\n    global count", "global count"),
        ("progan.x", "def f(x, y=[]): pass", "mutable default"),
        ("progan.x", "def f(*, x={}): pass", "mutable default"),
        ("progan.x", "f = lambda x=set(): x", "mutable default"),
        ("progan.x", "async def f(x=collections.deque()): pass", "mutable default"),
        ("progan.x", "def f():\n    from torchvision.utils import save_image", "torchvision"),
        (DOWNLOADS, "from torchvision import datasets", "torchvision"),
        ("progan.x", "importlib.import_module(name)", "by a string"),
    ],
)
def test_the_checker_finds_bad_habits(module: str, source: str, fault: str) -> None:
    (found,) = bad_habits(module, source)
    assert fault in found


def test_only_downloads_may_import_torchvision_and_late() -> None:
    source = "def f():\n    from torchvision import datasets"
    assert bad_habits(DOWNLOADS, source) == []
    assert bad_habits("progan.data.importers.array_datasets", source) != []
    assert DOWNLOADS in SOURCES


def test_only_the_front_may_call_upstairs_and_late() -> None:
    source = "def load():\n    from progan.api import load"
    assert forbidden_imports(PACKAGE_INIT, source) == []
    assert forbidden_imports("progan.errors", source) != []
    assert forbidden_imports(PACKAGE_INIT, "from progan.api import load") != []
    assert PACKAGE_INIT in SOURCES


def test_the_checker_finds_circles() -> None:
    circle = {
        "progan.config": "import progan.presets",
        "progan.presets": "from progan import config",
    }
    assert set(cycle(circle)) == set(circle)
    assert (
        cycle(
            {
                "progan.config": "def f():\n    import progan.presets",
                "progan.presets": "from progan import config",
            }
        )
        == []
    )
