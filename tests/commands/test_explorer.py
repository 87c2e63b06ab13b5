"""generate.py --explore as its users see it: a page in a real browser, and nothing beyond."""

import http.client
import json
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.generate import main as generate
from progan.explorer.server import bind_port
from progan.sampling.snapshot_file import save_network
from tests.browser import NAMES, Browser, program
from tests.builders import in_foreground, message, tiny_snapshot

ROOT = Path(__file__).resolve().parents[2]
PHONE, DESKTOP = 375, 1280  # px
CLASSES = ("cat", "<b>dog</b>{{x}}${y}", "owl")
PICTURE, TILE, CAPTION = "#image img", ".tiles button", "#image figcaption"
ARRIVED = (
    "[...document.images].every(each => each.complete && each.naturalWidth && "
    "each.getAttribute('src') === each.dataset.src)"
)
# The command, in a process that prints the hosts it connects to.
LISTENING = """
import sys
sys.addaudithook(lambda event, args: event in ("socket.connect", "socket.getaddrinfo") and print(
    "called:", args, file=sys.stderr))
sys.argv[0] = "generate.py"
from progan.cli.generate import main
main()
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A page that is open, and what it was made of."""

    address: str
    network: Path
    outdir: Path
    process: subprocess.Popen[str]


@contextmanager
def opened(folder: Path, *words: object) -> Iterator[Site]:
    """The page of a small network with hostile classes, within a fade, at a free port."""
    network, outdir = folder / "network.safetensors", folder / "found here"
    save_network(network, tiny_snapshot(CLASSES, alpha=0.5))
    with in_foreground(
        sys.executable,
        "-c",
        LISTENING,
        "--network",
        network,
        "--explore",
        "--port",
        0,
        "--outdir",
        outdir,
        "--device",
        "cpu",
        *words,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate()
        yield Site(address, network, outdir, process)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pytest.importorskip("gradio", reason="gradio is not installed: there is no page to view at")
    with opened(tmp_path_factory.mktemp("site"), "--seeds", 7) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = program()
    if path is None:
        pytest.skip(f"there is none of {', '.join(NAMES)}: the page is not looked at")
    with Browser(path, tmp_path_factory.mktemp("chromium")) as found:
        yield found


def visit(browser: Browser, site: Site, width: int = DESKTOP, dark: bool = False) -> None:
    """Open the page, and wait until all is drawn and listens."""
    browser.open(site.address, width, dark=dark)
    browser.wait_for(
        "document.querySelectorAll('[data-listens]').length === 2 && "
        f"document.querySelectorAll('{TILE}').length === 8 && {ARRIVED}"
    )


def reads(browser: Browser, words: str) -> None:
    """Wait until the caption says so, and all pictures are there."""
    browser.wait_for(
        f"document.querySelector('{CAPTION}').textContent === {json.dumps(words)} && " + ARRIVED
    )


def drawn(site: Site, folder: Path, *words: object) -> np.ndarray:
    """What generate.py draws: uint8 [H, W, 3]."""
    options = ["--network", site.network, "--device", "cpu", "--outdir", folder, *words]
    run(*options)
    (path,) = folder.iterdir()
    return np.asarray(Image.open(path))


def run(*words: object) -> Result:
    return CliRunner().invoke(generate, [str(word) for word in words], catch_exceptions=False)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_is_drawn_and_calls_nobody(
    browser: Browser, site: Site, width: int, dark: bool
) -> None:
    visit(browser, site, width, dark)
    assert browser.errors == []
    assert {request.split("/")[2] for request in browser.requests} == {
        site.address.removeprefix("http://")
    }
    assert browser.value("document.documentElement.scrollWidth") <= width
    shade = browser.value("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]")
    assert (int(shade) < 64) is dark
    assert browser.value(
        "[...document.querySelectorAll('button, input[type=range]')].filter("
        "each => each.offsetParent).every(each => each.offsetHeight >= 32)"
    )


def test_pictures_are_those_of_generate(browser: Browser, site: Site, tmp_path: Path) -> None:
    visit(browser, site)
    reads(browser, f"Seed 7 · {CLASSES[1]} · 16x16")
    picture = browser.pixels(PICTURE)
    np.testing.assert_array_equal(picture[..., :3], drawn(site, tmp_path / "7", "--seeds", 7))
    assert (picture[..., 3] == 255).all()
    browser.click("#next")
    reads(browser, f"Seed 8 · {CLASSES[2]} · 16x16")
    np.testing.assert_array_equal(
        browser.pixels(PICTURE)[..., :3], drawn(site, tmp_path / "8", "--seeds", 8)
    )


def test_small_pictures_are_enlarged_by_whole_pixels(browser: Browser, site: Site) -> None:
    for width in (PHONE, DESKTOP):
        visit(browser, site, width)
        shown, rendering = browser.value(
            f"(each => [each.getBoundingClientRect().width, getComputedStyle(each).imageRendering])"
            f"(document.querySelector('{PICTURE}'))"
        )
        assert shown % 16 == 0 and width / 4 < shown < width and rendering == "pixelated"


def test_seeds_are_typed_and_turned(browser: Browser, site: Site) -> None:
    visit(browser, site)
    browser.type("#seed input", "30")
    reads(browser, "Seed 30 · cat · 16x16")
    browser.click("#previous")
    reads(browser, "Seed 29 · owl · 16x16")
    assert browser.value("document.querySelector('#seed input').value") == "29"
    browser.type("#seed input", "")
    browser.type("#seed input", "-1")
    reads(browser, "Seed 0 · cat · 16x16")
    browser.wait_for("document.querySelector('#seed input').value === '0'")
    browser.click("#previous")
    reads(browser, "Seed 4294967295 · cat · 16x16")
    for _ in range(3):
        browser.click("#next")
    reads(browser, "Seed 2 · owl · 16x16")
    browser.type("#target input", "99999999999")
    browser.wait_for("document.querySelector('#target input').value === '4294967295'")
    browser.click("#random")
    browser.wait_for(f"!document.querySelector('{CAPTION}').textContent.startsWith('Seed 2 ')")
    assert browser.errors == []


def test_neighbours_lead_on_and_back(browser: Browser, site: Site) -> None:
    visit(browser, site)
    tile = browser.pixels(f"{TILE}:nth-child(3) img")
    browser.click(f"{TILE}:nth-child(3)")
    reads(browser, f"Seed 7, then 25% of the way to seed 10 · {CLASSES[1]} · 16x16")
    np.testing.assert_array_equal(browser.pixels(PICTURE), tile)
    browser.click("#others")
    browser.wait_for(f"document.querySelector('{TILE}').dataset.seed === '19'")
    browser.click("#step")
    reads(browser, f"Seed 7 · {CLASSES[1]} · 16x16")
    browser.wait_for("document.querySelector('#step').disabled")
    assert browser.errors == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_buttons_stay_in_sight_however_long_the_way(
    browser: Browser, site: Site, width: int
) -> None:
    visit(browser, site, width)
    for number in range(20):
        browser.value(f"document.querySelector('{TILE}').click()")
        browser.wait_for(
            f"document.querySelector('{CAPTION}').textContent.split(' to ').length === {number + 2}"
        )
    browser.value("scrollTo(0, 0)")
    assert browser.value("document.querySelector('#save').getBoundingClientRect().bottom") < 800
    assert browser.value(
        f"(each => each.scrollHeight > each.clientHeight)(document.querySelector('{CAPTION}'))"
    )


def test_it_works_without_a_mouse(browser: Browser, site: Site) -> None:
    """A tile keeps the focus, so that one can go on; sliders listen to arrows."""
    visit(browser, site)
    browser.value(f"document.querySelector('{TILE}').focus()")
    browser.key(" ")
    reads(browser, f"Seed 7, then 25% of the way to seed 8 · {CLASSES[1]} · 16x16")
    assert browser.value(f"document.activeElement === document.querySelector('{TILE}')")
    browser.key(" ")
    reads(browser, f"Seed 7, then 25% of the way to seed 8, 25% to seed 9 · {CLASSES[1]} · 16x16")
    browser.value("document.querySelector('#percent input[type=range]').focus()")
    browser.key("ArrowRight")
    reads(
        browser,
        "Seed 7, then 25% of the way to seed 8, 25% to seed 9, 1% to seed 8 · "
        f"{CLASSES[1]} · 16x16",
    )


def test_the_way_to_another_seed(browser: Browser, site: Site, tmp_path: Path) -> None:
    visit(browser, site)
    browser.type("#target input", "10")
    browser.value("document.querySelector('#percent input[type=range]').focus()")
    browser.key("End")
    reads(browser, f"Seed 7, then 100% of the way to seed 10 · {CLASSES[1]} · 16x16")
    np.testing.assert_array_equal(
        browser.pixels(PICTURE)[..., :3], drawn(site, tmp_path / "10", "--seeds", 10)
    )
    browser.key("Home")
    reads(browser, f"Seed 7 · {CLASSES[1]} · 16x16")
    browser.type("#percent input[type=number]", "250")
    reads(browser, f"Seed 7, then 100% of the way to seed 10 · {CLASSES[1]} · 16x16")
    assert browser.errors == []


def test_resolutions_and_classes(browser: Browser, site: Site, tmp_path: Path) -> None:
    visit(browser, site)
    browser.value("document.querySelector('#level input[type=range]').focus()")
    browser.key("ArrowLeft")
    reads(browser, f"Seed 7 · {CLASSES[1]} · 8x8")
    browser.click("#kind input")
    browser.wait_for("document.querySelectorAll('[role=option]').length === 4")
    assert browser.value(
        "[...document.querySelectorAll('[role=option]')].map("
        "each => each.getAttribute('aria-label'))"
    )[1:] == list(CLASSES)
    browser.click("[role=option]:nth-child(4)")
    reads(browser, "Seed 7 · owl · 8x8")
    np.testing.assert_array_equal(
        browser.pixels(PICTURE)[..., :3],
        drawn(site, tmp_path / "owl", "--seeds", 7, "--class", "owl", "--resolution", 8),
    )
    assert browser.errors == []


def test_what_is_saved_is_drawn_again(browser: Browser, site: Site) -> None:
    visit(browser, site)
    browser.click(f"{TILE}:nth-child(2)")
    reads(browser, f"Seed 7, then 25% of the way to seed 9 · {CLASSES[1]} · 16x16")
    shown = browser.pixels(PICTURE)[..., :3]
    browser.click("#save")
    browser.wait_for("!!document.querySelector('#saved pre')")
    picture = site.outdir / "seed0007-1step.png"
    assert str(picture) in browser.value("document.querySelector('#saved').textContent")
    words = shlex.split(browser.value("document.querySelector('#saved pre').textContent"))
    assert run(*words[2:]).exit_code == 0
    text = Image.open(picture).text
    assert text["Latent"] == "seed 7, then 25% of the way to seed 9"
    assert text["Network"].startswith("network.safetensors ") and "--explore" in text["Command"]
    for path in (picture, site.outdir / "again" / "latent0000.png"):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), shown)


def status(site: Site, path: str, **headers: str) -> int:
    """How a request is answered; the path is sent as it is."""
    connection = http.client.HTTPConnection(site.address.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_no_file_of_the_machine_is_served(site: Site) -> None:
    assert status(site, "/") == 200
    for path in (
        "/gradio_api/file=/etc/passwd",
        f"/gradio_api/file={site.network}",
        "/assets/../../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/index.html",
        "/static//etc/passwd",
        "/image?at=/etc/passwd&level=4",
        "/image?at=7&level=9",
        "/image?at=7&level=4&class=3",
    ):
        assert status(site, path) in (403, 404), path


def test_other_pages_and_names_are_refused(site: Site) -> None:
    assert status(site, "/", Host="evil.example") == 403
    assert status(site, "/", Host="localhost:1") == 200
    assert status(site, "/image?at=7&level=4", Origin="https://evil.example") == 403


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_quietly_while_a_page_is_open(tmp_path: Path, number: signal.Signals) -> None:
    """And has called nobody."""
    pytest.importorskip("gradio")
    with opened(tmp_path) as site:
        with urllib.request.urlopen(f"{site.address}/gradio_api/heartbeat/x") as listening:
            assert listening.readline() == b"data: ALIVE\n"
            site.process.send_signal(number)
            _, said = site.process.communicate(timeout=60)
    assert site.process.returncode == 0
    assert said.splitlines() == [
        "Open this address in a browser on this machine. Ctrl-C ends it.",
        "",
        "The explorer is closed.",
    ]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--video", "x.gif"], "--video is for files, and --explore shows a page"),
        (["--grid", "2x2"], "--grid is for files"),
        (["--latents", "x.npy"], "--latents is for files"),
        (["--format", "webp"], "--format is for files"),
        (["--sheet"], "--sheet is for files"),
    ],
)
def test_what_makes_files_is_refused(words: list[str], advice: str) -> None:
    assert advice in message(run("--network", "x", "--explore", *words))


def test_a_port_needs_a_page() -> None:
    assert "--port is for the page of --explore" in message(
        run("--network", "x", "--seeds", 1, "--port", 80)
    )


def test_mistakes_are_said(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    save_network(tmp_path / "x.safetensors", tiny_snapshot())
    explore = ("--network", tmp_path / "x.safetensors", "--explore", "--device", "cpu")
    with bind_port(0) as listening:
        port = listening.getsockname()[1]
        assert f"Port {port} of this machine is in use" in message(run(*explore, "--port", port))
    for words, advice in [
        (["--seeds", "1-3"], "--explore begins at one seed"),
        (["--class", "cat"], "without labels"),
        (["--resolution", "32"], "trained up to 16"),
        (["--trunc", "0.705"], "--explore sets it in whole percent; choose 0.7."),
        (["--outdir", tmp_path / "x.safetensors"], "a file of that name"),
    ]:
        assert advice in message(run(*explore, "--port", 0, *words))


@pytest.mark.parametrize("part", ["gradio", "fastapi", "starlette", "uvicorn"])
def test_a_missing_gradio_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    if part != "gradio":
        pytest.importorskip("gradio")
    save_network(tmp_path / "x.safetensors", tiny_snapshot())
    monkeypatch.setitem(sys.modules, part, None)
    said = message(run("--network", tmp_path / "x.safetensors", "--explore"))
    assert f'{part} is missing: pip install "progan[web]"' in said


def test_without_explore_gradio_is_not_imported(tmp_path: Path) -> None:
    save_network(tmp_path / "x.safetensors", tiny_snapshot())
    script = (
        "import sys; from progan.cli.generate import main\n"
        "main(sys.argv[1:], standalone_mode=False); assert 'gradio' not in sys.modules"
    )
    subprocess.run(
        [
            sys.executable, "-c", script, "--network", tmp_path / "x.safetensors", "--seeds", "1",
            "--outdir", tmp_path,
        ],
        cwd=ROOT, check=True, timeout=120,
    )  # fmt: skip
