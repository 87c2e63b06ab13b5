"""Names and places of runs."""

import os
from pathlib import Path

import pytest

from progan import run_directory
from progan.errors import UserError
from tests.builders import tiny_run


def test_runs_are_numbered_and_named(tmp_path: Path) -> None:
    first = run_directory.create_run(tmp_path / "new", "my faces!", tiny_run())
    second = run_directory.create_run(tmp_path / "new", "???", tiny_run())
    assert [first.name, second.name] == ["00000-my-faces-tiny", "00001-dataset-tiny"]
    assert run_directory.find_run_or_state(tmp_path / "new") == second


def test_the_config_survives(tmp_path: Path) -> None:
    run = tiny_run(batch_at=((4, 8), (16, 2)), seed=7, mirror=True)
    assert run_directory.load_config(run_directory.create_run(tmp_path, "x", run)) == run


@pytest.mark.parametrize("text", ["", "[]", "{", '{"network": {"colour": 3}}'])
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / run_directory.CONFIG_FILE).write_text(text)
    with pytest.raises(UserError):
        run_directory.load_config(tmp_path)


def test_files_do_not_count_as_runs(tmp_path: Path) -> None:
    (tmp_path / "00009-notes").write_text("")
    with pytest.raises(UserError, match="No run in"):
        run_directory.find_run_or_state(tmp_path)


def test_pictures_of_one_thousand_of_images_do_not_replace_each_other(tmp_path: Path) -> None:
    """But the same moment has the same name, however often it comes."""
    for _ in range(2):
        found = []
        for images_seen in (1100, 1500, 1900, 2000):
            path = run_directory.choose_snapshot_path(
                tmp_path, "fakes-", images_seen, ".png", lambda path: int(path.read_text())
            )
            path.write_text(str(images_seen))
            found.append(path.name)
        assert (
            found
            == [
                "fakes-000001.png",
                "fakes-000001_500.png",
                "fakes-000001_900.png",
                "fakes-000002.png",
            ]
            == sorted(found)
        )


def test_a_config_with_impossible_settings_is_named_with_them(tmp_path: Path) -> None:
    path = tmp_path / run_directory.CONFIG_FILE
    path.write_text('{"network": {}, "growth": {"batch": -1}}')
    with pytest.raises(UserError, match=f"{path} cannot be used: --batch must be at least 1"):
        run_directory.load_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("null", "damaged .it has no settings of network and growth"),
        ("{}", "no settings of"),
        ('{"network": {}}', "no settings of"),
        ("[", "is damaged"),
        ('{"network": {}, "growth": "no"}', "cannot be used: The growth settings cannot be 'no'"),
    ],
)
def test_a_config_of_another_form_is_named(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / run_directory.CONFIG_FILE
    path.write_text(text)
    with pytest.raises(UserError, match=f"{path} .*{what}"):
        run_directory.load_config(tmp_path)


def test_evidence_of_earlier_attempts_is_kept(tmp_path: Path) -> None:
    assert run_directory.choose_rollback_path(tmp_path).name == "rollback-01.json"
    for name in ("rollback-01.json", "rollback-03.json", "rollback-x.json"):
        (tmp_path / name).touch()
    assert run_directory.choose_rollback_path(tmp_path).name == "rollback-04.json"


@pytest.mark.parametrize("name", ["../../up", "..", "a/b\\c", "\x1b[31m", "x" * 5000, "日本", ""])
def test_a_run_stays_in_its_outdir_whatever_the_dataset_is_called(
    tmp_path: Path, name: str
) -> None:
    run = run_directory.create_run(tmp_path / "runs", name, tiny_run())
    assert run.resolve().parent == tmp_path / "runs"
    assert run.name.startswith("00000-") and run.name.isascii() and run.name.isprintable()


def renamed(run: Path, name: str, started: int) -> Path:
    """The run under another name, started at a time in seconds."""
    os.utime(run / run_directory.CONFIG_FILE, (started, started))
    return run.rename(run.parent / name)


def test_a_run_is_recognised_by_its_settings_whatever_it_is_called(tmp_path: Path) -> None:
    run = renamed(run_directory.create_run(tmp_path, "x", tiny_run()), "my best run", 1000)
    for name, text in (
        ("notes", ""),
        ("model", '{"network": 1}'),
        ("list", "[]"),
        (".trash", (run / run_directory.CONFIG_FILE).read_text()),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / run_directory.CONFIG_FILE).write_text(text)
    assert run_directory.list_runs(tmp_path) == [run]
    assert run_directory.find_run_or_state(tmp_path) == run


@pytest.mark.parametrize("times", [(1000, 2000), (2000, 1000)])
def test_of_a_renamed_run_and_others_the_one_started_last_is_the_newest(
    tmp_path: Path, times: tuple[int, int]
) -> None:
    one = renamed(run_directory.create_run(tmp_path, "x", tiny_run()), "kept", times[0])
    other = run_directory.create_run(tmp_path, "x", tiny_run())
    other = renamed(other, other.name, times[1])
    assert run_directory.list_runs(tmp_path) == (
        [one, other] if times[0] < times[1] else [other, one]
    )


def test_numbers_tell_which_run_is_newer(tmp_path: Path) -> None:
    names = [f"{number}-x" for number in ("00009", "99999", "100000")]
    for time, name in enumerate(names[::-1]):
        renamed(run_directory.create_run(tmp_path / name, "x", tiny_run()), name, time)
        (tmp_path / name / name).rename(tmp_path / f"{name}.moved")
        (tmp_path / name).rmdir()
        (tmp_path / f"{name}.moved").rename(tmp_path / name)
    assert [path.name for path in run_directory.list_runs(tmp_path)] == names
    assert run_directory.create_run(tmp_path, "y", tiny_run()).name == "100001-y-tiny"


def test_a_directory_without_runs_says_how_they_are_recognised(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No run in .*directory of a run, which holds the config"):
        run_directory.find_run_or_state(tmp_path)


def test_runs_that_start_at_once_get_numbers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run takes the number between its choice and the renaming."""
    rename = Path.rename

    def rename_after_another(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        assert run_directory.create_run(tmp_path, "x", tiny_run()) == target
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_after_another)
    assert run_directory.create_run(tmp_path, "x", tiny_run()).name == "00001-x-tiny"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000-x-tiny", "00001-x-tiny"]


def test_files_are_in_the_order_of_their_images(tmp_path: Path) -> None:
    names = ["state-999999.pt", "state-999999_001.pt", "state-999999_640.pt", "state-1000000.pt"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in run_directory.list_states(tmp_path)] == names


def test_a_folder_with_a_number_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "20261130-photos").mkdir()
    run = run_directory.create_run(tmp_path, "x", tiny_run())
    assert run.name == "00000-x-tiny" and run_directory.list_runs(tmp_path) == [run]
    (run / run_directory.CONFIG_FILE).unlink()
    (run / run_directory.STATISTICS_FILE).touch()
    assert run_directory.list_runs(tmp_path) == [run]  # so that its lack is reported
    (tmp_path / "00001-x-tiny").mkdir()
    (tmp_path / "00001-x-tiny" / "mine.txt").touch()
    assert run_directory.create_run(tmp_path, "x", tiny_run()).name == "00002-x-tiny"
