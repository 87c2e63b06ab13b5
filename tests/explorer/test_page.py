"""What Save answers, whatever goes wrong."""

import errno
import os

import pytest

from progan.errors import UserError
from progan.explorer.view_state import NamedLatent, ViewState
from tests.explorer.test_renderer import make_renderer

pytest.importorskip("gradio", reason="gradio is not installed: there is no page")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("It is broken."), "It is broken."),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "No space left on device. Free some space",
        ),
        (OSError("odd"), "odd."),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "odd"), "a bug in progan"),
    ],
)
def test_a_failure_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    words: str,
) -> None:
    from progan.explorer import page
    from progan.explorer.page import _save_and_render_message

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(page, "save_image_and_latent", fail)
    here = make_renderer()
    html = _save_and_render_message(
        here, ViewState(latent=NamedLatent(7), target=8, level=4), here.file, {}
    )
    assert f"Not saved. {words}" in html or f"Not saved. This is {words}" in html
    assert "Errno" not in html
    assert ("Traceback" in capsys.readouterr().err) is isinstance(error, ValueError)
