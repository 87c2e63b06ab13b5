"""progan push and hf://…, against a local server with the endpoints of the Hub."""

import base64
import hashlib
import http.server
import importlib
import io
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import progan
from progan.cli.generate import main as generate
from progan.cli.push import main as push
from progan.cli.push import read_card
from progan.cli.train import main as train
from progan.errors import UserError
from progan.hub import _describe
from progan.interop.cli import main as interop
from progan.sampling.model_card import append_card_hash
from tests.builders import message, noise_dataset, tiny_options

hub = pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """Keeps files in memory, as {repository: {path: content}}; 'me/locked' may not be written."""

    repositories: dict[str, dict[str, bytes]] = {}
    requests: list[str] = []

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        self.requests.append(self.path)
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            if name == "me/locked":
                return self.answer({"error": "no"}, 403)
            self.repositories.setdefault(name, {})
            url = f"http://127.0.0.1:{self.server.server_port}/{name}"  # type: ignore[attr-defined]
            return self.answer({"url": url, "private": wanted.get("private")})
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if "/commit/" not in self.path:  # validate-yaml, of the card
            return self.answer({"errors": [], "warnings": []})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.repositories[name][line["value"]["path"]] = content
        return self.answer(
            {"commitUrl": f"https://huggingface.co/{name}/commit/{COMMIT}", "commitOid": COMMIT}
        )

    def do_GET(self) -> None:
        self.requests.append(self.path)
        parts = self.path.strip("/").split("/")
        if parts[0] == "api":
            name = "/".join(parts[2:4])
            if name not in self.repositories:
                return self.answer({"error": "no"}, 404, X_Error_Code="RepoNotFound")
            return self.answer({"id": name, "sha": COMMIT, "siblings": [], "private": False})
        name, path = "/".join(parts[:2]), "/".join(parts[4:])
        if name not in self.repositories:
            return self.answer(b"", 404, X_Error_Code="RepoNotFound")
        if path not in self.repositories[name]:
            return self.answer(b"", 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content = self.repositories[name][path]
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return self.answer(content, X_Repo_Commit=COMMIT, ETag=f'"{etag}"')

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    Hub.repositories, Hub.requests = {}, []
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{served.server_port}"
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}", raising=False,
    )  # fmt: skip
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setenv("HF_TOKEN", "top-secret")
    yield Hub
    served.shutdown()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = noise_dataset(tmp_path_factory.mktemp("data") / "noise").path
    outdir = tmp_path_factory.mktemp("runs")
    words = ["--data", data, "--outdir", outdir, "--preset", "demo", *tiny_options()]
    result = CliRunner().invoke(train, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return outdir / "00000-noise-demo"


def test_what_is_pushed_is_loaded(server: type[Hub], run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(push, [str(run), "me/noise", "--yes"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    files = server.repositories["me/noise"]
    assert set(files) - {".gitattributes"} == {"network.safetensors", "README.md", "samples.png"}
    card = files["README.md"].decode()
    assert "network.safetensors" in card and "network-snapshot" not in card
    assert "Edited cards" not in card  # nothing overwrites it there
    text = card + result.output
    assert "top-secret" not in text and str(run.parent) not in card
    assert Image.open(io.BytesIO(files["samples.png"])).size == (8 * 16, 4 * 16)
    expected = progan.load(run, "cpu").render([0, 1])
    for address in ("hf://me/noise", "hf://me/noise@main"):
        assert np.array_equal(progan.load(address, "cpu").render([0, 1]), expected)
    words = ["--network", "hf://me/noise", "--seeds", "0", "--outdir", str(tmp_path / "out")]
    assert CliRunner().invoke(generate, words, catch_exceptions=False).exit_code == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "seed0000.png")), expected[0])


def test_nothing_is_sent_without_being_asked(server: type[Hub], run: Path) -> None:
    result = CliRunner().invoke(push, [str(run), "me/noise"], input="n\n")
    assert result.exit_code == 1
    assert "network.safetensors" in result.output and "private" in result.output
    assert server.requests == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("LocalEntryNotFoundError", "the Hub cannot be reached"),
        ("RevisionNotFoundError", "has no such revision"),
        ("GatedRepoError", "access is granted on request only. Ask for it on the"),
        ("RepositoryNotFoundError", "there is no such repository, or it is private"),
        ("EntryNotFoundError", "has no network.safetensors"),
    ],
)
def test_errors_of_the_hub_are_told_apart(kind: str, expected: str) -> None:
    errors = pytest.importorskip("huggingface_hub.errors")
    found = getattr(errors, kind)
    assert expected in _describe(found.__new__(found))


def test_a_card_of_a_short_name_keeps_its_words(tmp_path: Path) -> None:
    text = "# Generator of GANs\nG.safetensors, G.onnx, runs/G.txt, BIG.onnx\n"
    (tmp_path / "G.md").write_text(append_card_hash(text))
    card = read_card(tmp_path / "G.safetensors", "network.safetensors")
    assert card == "# Generator of GANs\nnetwork.safetensors, network.onnx, runs/G.txt, BIG.onnx\n"


def test_every_command_fetches(server: type[Hub], run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(push, [str(run), "me/noise", "--yes"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    words = ["hf://me/noise", "--to", str(tmp_path / "x.pt2")]
    result = CliRunner().invoke(interop, words, catch_exceptions=False)
    assert result.exit_code == 0 and (tmp_path / "x.pt2").is_file(), result.output
    words = ["--network", "hf://me/none", "--seeds", "0", "--outdir", str(tmp_path / "out")]
    result = CliRunner().invoke(generate, words)
    assert result.exit_code == 1 and "no such repository" in message(result)


def test_mistakes(server: type[Hub], run: Path, tmp_path: Path) -> None:
    (tmp_path / "official.pkl").write_bytes(pickle.dumps([]))
    (tmp_path / "official.md").write_text("# Of the file that it was converted to")
    for words, expected in (
        ((tmp_path / "official.pkl", "me/noise"), "is not a network file of progan"),
        ((run, "noise"), "'noise' is not the name of a repository"),
        ((run, "me/locked"), "access is denied (403). Log in"),
        ((tmp_path / "nothing", "me/noise"), "No such file or directory"),
    ):
        result = CliRunner().invoke(push, [*map(str, words), "--yes"])
        assert result.exit_code == 1 and expected in message(result)
    server.repositories["me/other"] = {"model.bin": b""}
    for address, expected in (
        ("hf://me/missing", "there is no such repository, or it is private"),
        ("hf://me/other", "has no network.safetensors"),
        ("hf://me", "is not an address such as"),
    ):
        with pytest.raises(UserError) as caught:
            progan.load(address)
        assert expected in str(caught.value)
