"""HTML of hostile names."""

from pathlib import Path

from progan.explorer import markup
from progan.explorer.renderer import SavedFiles
from progan.explorer.view_state import MAX_STEPS, NamedLatent, PathStep, ViewState, restart_at_seed
from tests.explorer.test_renderer import make_renderer

HOSTILE = "<script>alert(1)</script>\"'&{{x}}${y}`"
FIRST = restart_at_seed(ViewState(latent=NamedLatent(7), target=8, level=4), 7)


def test_names_are_text() -> None:
    here = make_renderer((HOSTILE, HOSTILE))
    saved = SavedFiles(Path(f"{HOSTILE}.png"), Path(f"{HOSTILE}.npy"), HOSTILE)
    for html in (
        markup.image_html(here, FIRST),
        markup.saved_html(saved),
        markup.save_error_html(HOSTILE),
        markup.heading_html(here),
    ):
        assert "<script" not in html


def test_a_caption_says_all() -> None:
    assert (
        markup.format_caption(make_renderer(("cat", "dog")), FIRST.spec) == "Seed 7 · dog · 16x16"
    )
    assert markup.format_caption(make_renderer(), FIRST.spec) == "Seed 7 · 16x16"


def test_long_names_of_classes_are_cut_but_in_the_title() -> None:
    name = "x" * 500
    html = markup.image_html(make_renderer((name, name)), FIRST)
    assert f'title="Seed 7 · {name} · 16x16"' in html
    assert f">Seed 7 · {'x' * 39}… · 16x16<" in html


def test_names_can_be_sent_whatever_is_in_them() -> None:
    assert markup.escape_text("\udcff") == "\\udcff"
    assert markup.save_error_html("a\ud800").encode()


def test_the_end_of_a_way_is_said() -> None:
    far = ViewState(latent=NamedLatent(7, (PathStep(5, 8),) * (MAX_STEPS - 1)), target=8, level=4)
    html = markup.neighbours_html(make_renderer(), far)
    assert f"{MAX_STEPS - 1} steps, and there are no more" in html and "<button" not in html


def test_each_neighbour_is_a_button() -> None:
    html = markup.neighbours_html(make_renderer(), FIRST)
    assert html.count("<button") == html.count("<img") == 8
    assert 'data-seed="15"' in html and "at=7,25to15" in html
