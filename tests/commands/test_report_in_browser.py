"""The page of python -m progan.report in a real browser: drawn, readable, and alone."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from progan.report.cli import REPORT_FILE
from tests.browser import NAMES, Browser, program
from tests.builders import tiny_run
from tests.commands.test_report import HOSTILE, report
from tests.report.runs import made_run

PHONE, DESKTOP = 320, 1280  # px
SLIDER, BUTTON = ".player input", ".player button"
SHOWN = "[...document.querySelectorAll('.frames img')].findIndex(each => !each.hidden)"
CAPTION = "document.querySelector('.player output').textContent"
PLOTS = "document.querySelectorAll('.plot')"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = program()
    if path is None:
        pytest.skip(f"there is none of {', '.join(NAMES)}: the page is not looked at")
    with Browser(path, tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, on this machine, of the report of a run with hostile names."""
    folder = tmp_path_factory.mktemp("site")
    made = made_run(folder, settings=tiny_run(data=HOSTILE + "/script>", subset=HOSTILE))
    assert report(made, "--output", folder / REPORT_FILE).exit_code == 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{REPORT_FILE}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_is_drawn_and_asks_for_nothing(
    browser: Browser, site: str, width: int, dark: bool
) -> None:
    browser.open(site, width, dark=dark)
    browser.wait_for(f"[...{PLOTS}].every(each => each.querySelector('path'))")
    assert browser.errors == [] and browser.requests == [site]
    assert browser.value(f"{PLOTS}.length") > 5
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("window.hacked") is None
    light = browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light is not dark
    assert browser.value("[...document.images].every(each => !each.src || each.complete)")


def test_it_works_as_a_file(browser: Browser, tmp_path: Path) -> None:
    report(made_run(tmp_path), "--output", tmp_path / "x.html")
    address = (tmp_path / "x.html").as_uri()
    browser.open(address, PHONE)
    assert browser.errors == [] and browser.requests == [address]
    assert browser.value(f"{PLOTS}[0].querySelectorAll('path').length") == 3


def test_letters_are_large_enough_for_a_phone(browser: Browser, site: str) -> None:
    browser.open(site, PHONE)
    assert (
        browser.value(
            "Math.min(...[...document.querySelectorAll('.plot text')].map("
            "each => each.getBoundingClientRect().height))"
        )
        >= 10
    )
    assert browser.value(
        "[...document.querySelectorAll('button, input')].every("
        "each => each.getBoundingClientRect().height >= 40)"
    )


def test_the_slider_goes_through_time(browser: Browser, site: str) -> None:
    browser.open(site, DESKTOP)
    assert browser.value(SHOWN) == 7 and browser.value(CAPTION) == "kimg 4.9: 8→16 fade 27%"
    browser.value(f"document.querySelector('{SLIDER}').focus()")
    browser.key("ArrowLeft")
    assert browser.value(SHOWN) == 6
    assert (
        browser.value(f"document.querySelector('{SLIDER}').ariaValueText")
        == browser.value(CAPTION)
        == "kimg 4.2: 8 stable"
    )
    browser.key("Home")
    assert browser.value(SHOWN) == 0
    assert browser.value("document.querySelector('.chart output').textContent") != ""


def test_play_shows_all_and_stops(browser: Browser, site: str) -> None:
    browser.open(site, DESKTOP)
    browser.value(f"document.querySelector('{BUTTON}').focus()")
    browser.key(" ")
    assert browser.value(f"document.querySelector('{BUTTON}').textContent") == "Pause"
    assert browser.value(SHOWN) < 3
    browser.key(" ")
    paused = browser.value(SHOWN)
    assert browser.value(f"document.querySelector('{BUTTON}').textContent") == "Play"
    browser.key(" ")
    browser.wait_for(f"{SHOWN} === 7")
    assert paused < 7
    browser.wait_for(f"document.querySelector('{BUTTON}').textContent === 'Play'")


def test_a_curve_is_read_by_pointing_at_it(browser: Browser, site: str) -> None:
    browser.open(site, DESKTOP)
    x, y = browser.value(
        f"{PLOTS}[1].scrollIntoView({{block: 'center'}}), (box => [box.left + 48, box.top + 80])("
        f"{PLOTS}[1].getBoundingClientRect())"
    )
    browser.point(x, y)
    chart = f"{PLOTS}[1].parentElement"
    assert browser.value(f"{chart}.querySelector('output').textContent") == "kimg 2, 8 fading in"
    assert browser.value(f"{chart}.querySelector('b').textContent") == "9"
    browser.point(1, 1)
    assert browser.value(f"{chart}.querySelector('output').textContent") == ""
    assert browser.value(f"{chart}.querySelector('b').textContent") == "4"


def test_a_curve_is_read_by_keys(browser: Browser, site: str) -> None:
    browser.open(site, DESKTOP)
    chart = f"{PLOTS}[1].parentElement"
    browser.value(f"{PLOTS}[1].focus()")
    said = []
    for name in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft"):
        browser.key(name)
        said.append(browser.value(f"{chart}.querySelector('output').textContent.split(',')[0]"))
    assert said == ["kimg 2", "kimg 5", "kimg 5", "kimg 2"]
    browser.key("Escape")
    assert browser.value(f"{chart}.querySelector('output').textContent") == ""


def test_a_picture_tells_its_seed(browser: Browser, site: str) -> None:
    browser.open(site, DESKTOP)
    x, y = browser.value(
        "document.querySelector('.frames').scrollIntoView(), (box => [box.left + "
        "box.width * 2.5 / 8, box.top + box.height * 1.5 / 4])("
        "document.querySelector('.frames').getBoundingClientRect())"
    )
    browser.point(x, y)
    assert browser.value(CAPTION).endswith(", seed 18")  # grids have 16 columns


def test_nothing_could_be_sent_away(browser: Browser, site: str) -> None:
    """The policy holds: not even to where the page came from."""
    browser.open(site, DESKTOP)
    assert browser.value(f"fetch({site!r}).then(() => 'sent', () => 'refused')") == "refused"
    assert (
        browser.value(
            "new Promise(done => { const image = new Image(); image.onload = () => done('sent');"
            f" image.onerror = () => done('refused'); image.src = {site!r}; }})"
        )
        == "refused"
    )
    assert browser.value(
        "(() => { const script = document.createElement('script');"
        " script.textContent = 'window.hacked = 1'; document.body.append(script);"
        " return window.hacked === undefined; })()"
    )


def test_all_settings_are_printed(browser: Browser, site: str) -> None:
    browser.open(site, DESKTOP)
    browser.value("dispatchEvent(new Event('beforeprint'))")
    assert browser.value("[...document.querySelectorAll('details')].every(each => each.open)")
