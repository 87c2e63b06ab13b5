"""The notebook of examples/, executed from top to bottom."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def test_the_notebook_runs() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(ROOT / "examples" / "portraits.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear all outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))))
        for output in outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3 and all(picture.std() > 10 for picture in pictures)
    text = "".join(output.get("text", "") for output in outputs)
    assert "img/s" in text and "bytes" in text
    values = [output["data"]["text/plain"] for output in outputs if "execution_count" in output]
    assert any("SWDx1e3_avg" in value for value in values)
