"""Names and places of runs."""

from pathlib import Path

import pytest

from progan import run_directory
from progan.errors import UserError
from tests.builders import tiny_run


def test_runs_are_numbered_and_named(tmp_path: Path) -> None:
    first = run_directory.create(tmp_path / "new", "my faces!", tiny_run())
    second = run_directory.create(tmp_path / "new", "???", tiny_run())
    assert [first.name, second.name] == ["00000-my-faces-tiny", "00001-dataset-tiny"]
    assert run_directory.find(tmp_path / "new") == second


def test_the_config_survives(tmp_path: Path) -> None:
    run = tiny_run(batch_at=((4, 8), (16, 2)), seed=7, mirror=True)
    assert run_directory.load_config(run_directory.create(tmp_path, "x", run)) == run


@pytest.mark.parametrize("text", ["", "[]", "{", '{"network": {"colour": 3}}'])
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / run_directory.CONFIG_FILE).write_text(text)
    with pytest.raises(UserError):
        run_directory.load_config(tmp_path)


def test_files_do_not_count_as_runs(tmp_path: Path) -> None:
    (tmp_path / "00009-notes").write_text("")
    with pytest.raises(UserError, match="no run in"):
        run_directory.find(tmp_path)


def test_pictures_of_one_thousand_of_images_do_not_replace_each_other(tmp_path: Path) -> None:
    """But the same moment has the same name, however often it comes."""
    for _ in range(2):
        found = []
        for images_seen in (1100, 1500, 1900, 2000):
            path = run_directory.moment_path(tmp_path, "fakes-", images_seen, ".png",
                                             lambda path: int(path.read_text()))
            path.write_text(str(images_seen))
            found.append(path.name)
        assert found == ["fakes-000001.png", "fakes-000001_500.png", "fakes-000001_900.png",
                         "fakes-000002.png"] == sorted(found)


def test_a_config_with_impossible_settings_is_named_with_them(tmp_path: Path) -> None:
    path = tmp_path / run_directory.CONFIG_FILE
    path.write_text('{"network": {}, "growth": {"batch": -1}}')
    with pytest.raises(UserError, match=f"{path} cannot be used: --batch must be at least 1"):
        run_directory.load_config(tmp_path)


@pytest.mark.parametrize(("text", "what"), [
    ("null", "damaged .it has no settings of network and growth"), ("{}", "no settings of"),
    ('{"network": {}}', "no settings of"), ("[", "is damaged"),
    ('{"network": {}, "growth": "no"}', "cannot be used: The growth settings cannot be 'no'")])
def test_a_config_of_another_form_is_named(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / run_directory.CONFIG_FILE
    path.write_text(text)
    with pytest.raises(UserError, match=f"{path} .*{what}"):
        run_directory.load_config(tmp_path)


def test_evidence_of_earlier_attempts_is_kept(tmp_path: Path) -> None:
    assert run_directory.rollback_path(tmp_path).name == "rollback-01.json"
    for name in ("rollback-01.json", "rollback-03.json", "rollback-x.json"):
        (tmp_path / name).touch()
    assert run_directory.rollback_path(tmp_path).name == "rollback-04.json"


@pytest.mark.parametrize("name", ["../../up", "..", "a/b\\c", "\x1b[31m", "x" * 5000, "日本", ""])
def test_a_run_stays_in_its_outdir_whatever_the_dataset_is_called(
    tmp_path: Path, name: str
) -> None:
    run = run_directory.create(tmp_path / "runs", name, tiny_run())
    assert run.resolve().parent == tmp_path / "runs"
    assert run.name.startswith("00000-") and run.name.isascii() and run.name.isprintable()
