"""Which snapshot is the best, and by what."""

from pathlib import Path

import pytest

from metrics.run_record import MetricKey, get_training_detector_name
from progan.errors import UserError
from progan.report.metrics import (
    Measurements,
    Series,
    choose_best_network,
    find_network_at,
    read_images_seen_by_network,
    read_measurements,
    sort_by_importance,
)
from tests.builders import noise_dataset, tiny_run
from tests.report.runs import made_run, metric, write_lines

KNOWN = {
    "network-snapshot-000002": 2000,
    "network-snapshot-000005": 5000,
    "network-best-swd8": 2000,
}


def series(column: str, *values: float, real: float | None = None, name: str = "swd") -> Series:
    measure: MetricKey = name, 8
    return Series(
        metric=measure,
        column=column,
        real=real,
        values=dict(zip((2000, 5000), values, strict=False)),
    )


@pytest.mark.parametrize(
    ("one", "best"),
    [
        (series("FID", 3, 2), (5000, 2)),
        (series("IS", 3, 2), (2000, 3)),
        (series("MS-SSIM", 0.3, 0.1, real=0.25), (2000, 0.3)),
        (series("MS-SSIM", 0.3, 0.1), None),
        (series("strange", 1, 2), None),
        (series("FID"), None),
    ],
)
def test_a_column_has_its_best(one: Series, best: tuple[int, float] | None) -> None:
    assert one.best() == best


def test_the_best_network_is_that_of_the_metric() -> None:
    assert choose_best_network(KNOWN, Measurements([series("SWDx1e3_avg", 3, 2)]), None).name == (
        "network-snapshot-000005"
    )
    kept = choose_best_network(KNOWN, Measurements([series("SWDx1e3_avg", 2, 3)]), None)
    assert kept == ("network-best-swd8", "the best SWDx1e3_avg @8, 2")


def test_the_metric_of_best_comes_first() -> None:
    both = Measurements([series("SWDx1e3_avg", 1, 2), series("FID", 2, 1, name="fid")])
    assert choose_best_network(KNOWN, both, tiny_run()).name == "network-best-swd8"
    assert choose_best_network(KNOWN, both, tiny_run(best="fid")).name == "network-snapshot-000005"


def test_without_a_metric_it_is_the_newest() -> None:
    choice = choose_best_network(KNOWN, Measurements([]), None)
    assert choice.name == "network-snapshot-000005" and "the newest one, at kimg 5" in choice.reason
    with pytest.raises(UserError, match="No network yet"):
        choose_best_network({}, Measurements([]), None)


def test_a_network_that_is_gone_is_not_named() -> None:
    assert (
        find_network_at(7000, KNOWN) == "" and find_network_at(2000, KNOWN) == "network-best-swd8"
    )


def test_both_kinds_of_lines_are_one_series(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    write_lines(
        directory / "metric-later.jsonl",
        *(
            {
                "metric": "swd",
                "row": row,
                "images": "x",
                "num_images": 8,
                "values": {"SWDx1e3_avg": {"mean": mean, "std": None}},
            }
            for row, mean in (("network-snapshot-000005", 3), ("real-vs-real baseline", 1))
        ),
    )
    (directory / "network-snapshot-000009.safetensors").write_text("damaged")
    assert read_images_seen_by_network(directory) == {
        "network-snapshot-000002": 2000,
        "network-snapshot-000005": 5000,
    }
    average = read_measurements(directory).families()["SWDx1e3 @8"][0]
    assert average.values == {2000: 10, 5000: 5} and average.real == 2.5  # swd8 is after later


def test_a_damaged_file_of_a_metric_costs_only_itself(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    write_lines(directory / "metric-fid.jsonl", {"images_seen": 1})
    with (directory / "metric-swd8.jsonl").open("a") as file:
        file.write(str(metric(6000, 1))[:30])
    found = read_measurements(directory)
    assert len(found.errors) == 1 and "metric-fid.jsonl is damaged" in found.errors[0]
    assert found.families()["SWDx1e3 @8"][0].values == {2000: 9, 5000: 4}


def test_what_is_not_finite_is_not_the_best(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    write_lines(directory / "metric-swd8.jsonl", metric(2000, float("nan")), metric(5000, 4.0))
    assert read_measurements(directory).families()["SWDx1e3 @8"][0].best() == (5000, 4)


def test_values_against_other_reals_choose_no_network(tmp_path: Path) -> None:
    """Rows of python -m metrics --data OTHER are kept beside those of the training."""
    directory, run = made_run(tmp_path), tiny_run(data="/faces")
    write_lines(
        directory / "metric-measured.jsonl",
        *(
            {
                "metric": "swd", "row": row, "images": "x", "num_images": 8, "reals": "/noise",
                "values": {"SWDx1e3_avg": {"mean": mean, "std": None}},
            }
            for row, mean in (("network-snapshot-000005", 0.1), ("real-vs-real baseline", 0.2))
        ),
    )  # fmt: skip
    before = read_measurements(made_run(tmp_path / "other"), run)
    found = read_measurements(directory, run)
    assert found.series == before.series
    (error,) = found.errors
    assert "values against /noise are left out" in error


def measured(name: str, column: str, mean: float, baseline: float, **more: object) -> list[dict]:
    """Two lines of metric-measured.jsonl: of the network at kimg 5, and of the baseline."""
    return [
        {
            "metric": name, "row": row, "images": "x", "num_images": 8, **more,
            "values": {column: {"mean": value, "std": None}},
        }
        for row, value in (("network-snapshot-000005", mean), ("real-vs-real baseline", baseline))
    ]  # fmt: skip


def test_values_of_another_detector_are_a_series_of_their_own(tmp_path: Path) -> None:
    directory, run = made_run(tmp_path), tiny_run(best="fid8")
    write_lines(
        directory / "metric-fid8.jsonl",
        {"images_seen": 2000, "values": {"FID": 3.0}, "reals": {"FID": 1.0}},
    )
    write_lines(
        directory / "metric-measured.jsonl",
        *measured("fid", "FID", 0.5, 0.1, detector="mine.pt"),
        *measured("fid", "FID", 4.0, 1.5, detector=get_training_detector_name(run)),
    )
    families = read_measurements(directory, run).families()
    (own,), (other,) = families["FID @8"], families["FID @8 (mine.pt)"]
    assert own.values == {2000: 3.0, 5000: 4.0} and own.real == 1.5
    assert other.values == {5000: 0.5} and other.real == 0.1
    first, *_ = sort_by_importance(read_measurements(directory, run), run)
    assert first.label == "FID @8"


def test_values_against_the_dataset_where_it_is_now_count(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    fingerprint = noise_dataset(tmp_path / "moved").info.fingerprint
    run = tiny_run(data=str(tmp_path / "gone"), fingerprint=fingerprint)
    write_lines(
        directory / "metric-measured.jsonl",
        *measured("swd", "SWDx1e3_avg", 7.0, 0.2, reals=str(tmp_path / "moved")),
    )
    found = read_measurements(directory, run)
    (average,) = (each for each in found.series if each.column == "SWDx1e3_avg")
    assert not found.errors and average.values[5000] == 7.0


def test_the_best_of_the_networks_that_are_left_is_chosen() -> None:
    left = {"network-snapshot-000005": 5000, "network-snapshot-000009": 9000}
    choice = choose_best_network(left, Measurements([series("SWDx1e3_avg", 1, 2)]), None)
    assert choice == ("network-snapshot-000005", "the best SWDx1e3_avg @8, 2")
    none = choose_best_network(
        {"network-snapshot-000009": 9000}, Measurements([series("SWDx1e3_avg", 1, 2)]), None
    )
    assert none.name == "network-snapshot-000009" and "measured networks is left" in none.reason


@pytest.mark.parametrize("best", ["swd8", "swd16"])
def test_of_one_metric_the_number_of_images_of_best_counts(best: str) -> None:
    few, many = series("SWDx1e3_avg", 1, 2), series("SWDx1e3_avg", 2, 1)
    many.metric = "swd", 16
    for order in ([few, many], [many, few]):
        choice = choose_best_network(KNOWN, Measurements(order), tiny_run(best=best))
        assert choice.reason.startswith(f"the best SWDx1e3_avg @{best.removeprefix('swd')}, 1")
