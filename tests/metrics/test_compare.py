"""Several runs in one table: the arithmetic of the table."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metrics.comparison import (
    compare,
    comparison_sheet,
    compute_sort_key,
    describe_mixed_columns,
    find_column,
    format_csv,
    format_markdown,
    make_distinct_run_names,
    render_samples,
)
from metrics.options import GOALS, LOWER_IS_BETTER
from metrics.run_record import (
    MetricResult,
    RunRecord,
    add_results,
    read_record,
    read_results,
    read_statistics_at,
)
from progan.errors import UserError
from progan.run_directory import save_config
from progan.sampling.snapshot_file import save_network
from tests.builders import tiny_run, tiny_snapshot

CPU = torch.device("cpu")


def record(
    name: str,
    values: dict[str, float] | None = None,
    reals: dict[str, float] | None = None,
    **settings: object,
) -> RunRecord:
    return RunRecord(
        path=Path("runs") / name / "network-snapshot-001234.safetensors",
        run=tiny_run(**settings),
        snapshot=tiny_snapshot(),
        values=values or {},
        reals=reals or {},
    )


def write_lines(path: Path, *lines: object) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("FID", [1, 2, 3]),
        ("SWDx1e3_avg @16384", [1, 2, 3]),
        ("modes", [3, 2, 1]),
        ("MS-SSIM", [2, 1, 3]),
        ("loss/critic", [1, 2, 3]),
    ],
)
def test_ranks_put_the_best_first(column, order):
    assert sorted([1, 2, 3], key=lambda value: compute_sort_key(column, value, 1.9)) == order


def test_what_is_not_known_has_no_rank():
    assert compute_sort_key("FID", None, 0) is None
    assert compute_sort_key("FID", float("nan"), 0) is None
    assert compute_sort_key("MS-SSIM", 0.3, None) is None


def test_every_metric_that_has_a_least_value_has_it_as_its_goal():
    assert {GOALS[column.partition("_")[0]] for column in LOWER_IS_BETTER.values()} == {"least"}


def test_runs_are_sorted_and_the_best_marked():
    found = compare(
        [
            record("a", {"FID": 3, "IS": 2}),
            record("b"),
            record("c", {"FID": 1, "IS": 9}),
            record("d", {"FID": 2}),
        ],
        "fid",
    )
    assert [line.name for line in found.runs] == ["c", "d", "a", "b"]
    assert (found.columns, found.sorted_by) == (("FID", "IS"), "FID")
    assert [[cell.text * cell.best for cell in line.cells] for line in found.runs] == [
        ["1", "9"],
        ["", ""],
        ["", ""],
        ["", ""],
    ]
    assert [line.name for line in compare([record("b"), record("a")]).runs] == ["b", "a"]


def test_nobody_is_the_best_of_one_or_without_a_goal():
    found = compare([record("a", {"FID": 3, "loss/critic": 1}), record("b", {"loss/critic": 2})])
    assert not any(cell.best for line in found.runs for cell in line.cells)


def test_ms_ssim_is_judged_by_the_reals_of_each_run():
    found = compare(
        [
            record("a", {"MS-SSIM": 0.3}, {"MS-SSIM": 0.1}),
            record("b", {"MS-SSIM": 0.5}, {"MS-SSIM": 0.49}),
        ],
        "ms-ssim",
    )
    assert [line.name for line in found.runs] == ["b", "a"]
    assert [cell.text for cell in found.reals] == ["0.1"]


def test_runs_of_different_images_are_pointed_out():
    one, other = record("a", {"FID": 1}, data="/x"), record("b", {"FID": 2}, data="/y")
    assert "different images, /x, /y" in format_markdown(compare([one, other]), "s.png")
    assert "different images" not in format_markdown(compare([one, one]), "s.png")


@pytest.mark.parametrize(
    ("wish", "column"),
    [
        ("swd", "SWDx1e3_avg @8"),
        ("SWDX1E3_16", "SWDx1e3_16 @8"),
        ("swdx1e3_16 @8", "SWDx1e3_16 @8"),
        ("loss/critic", "loss/critic"),
    ],
)
def test_a_column_has_several_names(wish, column):
    assert find_column(wish, ("SWDx1e3_16 @8", "SWDx1e3_avg @8", "loss/critic")) == column


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(UserError, match="--sort fid: no such column. Choose one of IS"):
        find_column("fid", ("IS",))


def test_runs_of_one_name_are_told_apart():
    one, other, third = record("x/00000-a"), record("y/00000-a"), record("x/00001-a")
    assert make_distinct_run_names([one, third]) == ["00000-a", "00001-a"]
    assert make_distinct_run_names([one, other]) == [str(one.path), str(other.path)]


def test_names_of_runs_are_text_and_no_markup():
    table = format_markdown(compare([record("<script>\x1b[31m\nx")]), "s.png")
    assert "| \\<script>\\x1b[31m\\nx" in table


def test_a_bar_in_a_name_does_not_end_the_cell():
    table = format_markdown(compare([record("a|b")]), "s.png")
    assert r"a\|b" in table
    assert len({len(line) for line in table.split("\n\n")[0].splitlines()}) == 1


def test_the_table_names_datasets_of_any_name():
    found = compare([record("a", data="/data-\udcff"), record("b", data="/other")])
    assert "different images, /data-\\udcff, /other" in format_markdown(found, "s.png")
    format_markdown(found, "s.png").encode()


def test_the_csv_has_all_digits_and_any_name():
    name = 'a,"b"\n\udcff'
    found = compare([record("plain", {"FID": 1 / 3}, {"FID": 0.125}), record(name)])
    first, second, reals = csv.DictReader(io.StringIO(format_csv(found)))
    assert first["run"] == "plain" and float(first["FID"]) == 1 / 3
    assert (second["run"], second["FID"]) == ('a,"b"\n\\udcff', "")
    assert (reals["run"], reals["preset"], reals["FID"]) == ("reals", "", "0.125")
    assert set(first) == {"run", "preset", "seed", "kimg", "FID"}


def test_the_statistics_are_those_of_the_snapshot(tmp_path):
    write_lines(
        tmp_path / "stats.jsonl",
        *(
            {
                "images_seen": seen,
                "loss/critic": seen / 1000,
                "loss/penalty": 1,
                "progress/hours": 2,
                "accuracy/real": 0.5,
                "speed/images-per-second": 9,
            }
            for seen in (1000, 2000, 3000)
        ),
    )
    with (tmp_path / "stats.jsonl").open("a") as file:
        file.write('{"images_seen": 20')
    assert read_statistics_at(tmp_path, 2500) == {
        "loss/critic": 2,
        "progress/hours": 2,
        "accuracy/real": 0.5,
        "speed/images-per-second": 9,
    }
    assert read_statistics_at(tmp_path, 500) == {} == read_statistics_at(tmp_path / "none", 500)


def test_metrics_are_found_in_both_formats(tmp_path):
    network = tmp_path / "network-snapshot-000002.safetensors"
    write_lines(
        tmp_path / "metric-swd16k.jsonl",
        *(
            {"images_seen": seen, "values": {"SWD": seen}, "reals": {"SWD": 1}}
            for seen in (1000, 2000)
        ),
    )
    write_lines(
        tmp_path / "metric-later.jsonl",
        *(
            {
                "metric": "fid",
                "row": row,
                "images": images,
                "num_images": 50,
                "values": {"FID": {"mean": mean, "std": None}},
            }
            for row, images, mean in (
                ("network-snapshot-000001", "run", 1),
                ("network-snapshot-000002", "run", 2),
                ("images against reals", "elsewhere.zip", 3),
                ("images against reals", str(network), 4),
                ("reals against reals", "run", 5),
            )
        ),
        {"metric": "neighbours", "values": {}},
    )
    assert list(read_results(network, 2000)) == [
        MetricResult(("fid", 50), {"FID": 2}, {}),
        MetricResult(("fid", 50), {"FID": 4}, {}),
        MetricResult(("fid", 50), {}, {"FID": 5}),
        MetricResult(("swd", 16384), {"SWD": 2000}, {"SWD": 1}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"images_seen": 2000},
        {"metric": "fid", "row": "x"},
        {"images_seen": 2000, "values": 3, "reals": {}},
    ],
)
def test_a_damaged_metric_is_named(tmp_path, line):
    save_config(tmp_path, tiny_run())
    save_network(tmp_path / "network-snapshot-001234.safetensors", tiny_snapshot())
    write_lines(tmp_path / "metric-fid.jsonl", line | {"images_seen": 1_234_000} if line else line)
    with pytest.raises(UserError, match="metric-fid.jsonl is damaged"):
        read_record(tmp_path, best=False, device=CPU)


def test_the_number_of_images_of_a_training_metric_without_one_is_that_of_its_lines(tmp_path):
    network = tmp_path / "network-snapshot-000002.safetensors"
    line = {"images_seen": 2000, "num_images": 3000, "values": {"SWD": 2}, "reals": {"SWD": 1}}
    write_lines(tmp_path / "metric-swd.jsonl", line)
    assert list(read_results(network, 2000)) == [
        MetricResult(("swd", 3000), {"SWD": 2}, {"SWD": 1})
    ]


def test_results_belong_to_the_images_seen_and_not_to_the_name(tmp_path):
    best = tmp_path / "network-best-fid.safetensors"
    lines = [
        {
            "metric": "fid",
            "row": row,
            "images": "run",
            "num_images": 50,
            "images_seen": seen,
            "values": {"FID": {"mean": seen / 1000, "std": None}},
        }
        for row, seen in (("network-snapshot-000002", 2000), (best.stem, 1000))
    ]
    write_lines(tmp_path / "metric-measured.jsonl", *lines)
    for seen in (1000, 2000):
        assert list(read_results(best, seen)) == [
            MetricResult(("fid", 50), {"FID": seen / 1000}, {})
        ]


def test_results_that_were_measured_later_come_last(tmp_path):
    network = tmp_path / "network-snapshot-000002.safetensors"
    line = {"images_seen": 2000, "num_images": 8, "values": {"SWD": 2}, "reals": {}}
    write_lines(tmp_path / "metric-swd8.jsonl", line)
    measured = {"metric": "swd", "row": "x", "images": "x", "values": {"SWD": {"mean": 3}}}
    write_lines(tmp_path / "metric-measured.jsonl", line | measured)
    assert [each.values for each in read_results(network, 2000)] == [{"SWD": 2}, {"SWD": 3}]


def test_of_columns_of_one_metric_the_one_that_most_runs_have_sorts():
    runs = [
        record("a", {"SWDx1e3_avg @8": 3, "SWDx1e3_avg @16": 1}),
        record("b", {"SWDx1e3_avg @16": 2}),
    ]
    assert compare(runs, "swd").sorted_by == "SWDx1e3_avg @16"
    assert compare(runs, "SWDx1e3_avg @8").sorted_by == "SWDx1e3_avg @8"


def test_images_that_are_no_squares_keep_their_shape_on_a_sheet():
    wide = np.zeros((1, 64, 96, 3), np.uint8)
    cell = comparison_sheet([("a", wide)], [0])[28:]
    assert cell.shape == (96, 96, 3)
    assert (cell[16:80] == 0).all() and (cell[:16] == 255).all() and (cell[80:] == 255).all()


def test_pictures_of_all_sizes_and_kinds_share_a_sheet():
    grey = RunRecord(path=Path("g/n"), run=tiny_run(), snapshot=tiny_snapshot(channels=1, level=3))
    rows = [("rgb", render_samples(record("x"), [0, 5])), ("grey", render_samples(grey, [0, 5]))]
    assert [images.shape for _, images in rows] == [(2, 16, 16, 3), (2, 8, 8, 1)]
    sheet = comparison_sheet(rows, [0, 5])
    assert sheet.shape == (14 + 2 * (14 + 64), 2 * 64, 3)
    assert (sheet[28:92, :64].reshape(16, 4, 16, 4, 3)[:, 0, :, 0] == rows[0][1][0]).all()
    assert (sheet[106:170, 64:].reshape(8, 8, 8, 8, 3)[:, 0, :, 0] == rows[1][1][1]).all()


def test_values_measured_against_different_reals_are_pointed_out():
    """Two runs of one dataset; one was measured against another one, or held-out images."""
    fid, swd = ("fid", 50), ("swd", None)
    trained = MetricResult(fid, {"FID": 1}, {})
    one, other = (
        add_results(record(name, data="/x"), results)
        for name, results in (
            ("a", [trained, MetricResult(swd, {"SWD": 1}, {}, "/y/../x")]),
            ("b", [MetricResult(fid, {"FID": 2}, {}, "/y"), MetricResult(swd, {"SWD": 2}, {})]),
        )
    )
    said = (
        "The values of FID @50 were measured against /x and /y: they compare only if these "
        "are the same images."
    )
    assert describe_mixed_columns(compare([one, other])) == [said]
    assert said in format_markdown(compare([one, other]), "s.png")
    assert not describe_mixed_columns(compare([one, one]))
    measured_anew = add_results(other, [trained])
    assert not describe_mixed_columns(compare([one, measured_anew]))


def test_values_measured_with_different_detectors_are_pointed_out():
    """The first run has its own metric of training, by the default detector; SWD uses none."""
    fid, swd = ("fid", 50), ("swd", None)
    one, other = (
        add_results(record(name), [MetricResult(metric, {column: 1.0}, {}, "", detector)])
        for name, metric, column, detector in (
            ("a", fid, "FID", ""), ("b", fid, "FID", "vgg16-397923af.pth"),
        )
    )  # fmt: skip
    said = (
        "The values of FID @50 were measured with the detectors "
        "weights-inception-2015-12-05-6726825d.pth and vgg16-397923af.pth: they do not compare."
    )
    assert describe_mixed_columns(compare([one, other])) == [said]
    assert not describe_mixed_columns(compare([one, one]))
    without = [
        add_results(record(name), [MetricResult(swd, {"SWD": 1.0}, {}, "", detector)])
        for name, detector in (("a", ""), ("b", "unused.pth"))
    ]
    assert not describe_mixed_columns(compare(without))


def test_the_baseline_is_that_of_the_same_detector():
    fid = ("fid", 50)
    trained = MetricResult(fid, {"FID": 3.0}, {"FID": 1.0})
    found = add_results(record("a"), [trained, MetricResult(fid, {"FID": 9.0}, {}, "", "mine.pt")])
    assert (found.values["FID @50"], dict(found.reals)) == (9.0, {})
    both = add_results(found, [MetricResult(fid, {}, {"FID": 8.0}, "", "mine.pt")])
    assert dict(both.reals) == {"FID @50": 8.0}


def test_the_baseline_is_that_of_the_same_reals():
    """A run that was measured against other images, without a baseline of these."""
    swd = ("swd", 16)
    trained = MetricResult(swd, {"SWD": 160.0}, {"SWD": 84.0})
    foreign = MetricResult(swd, {"SWD": 148.0}, {}, "/noise")
    found = add_results(record("a", data="/x"), [trained, foreign])
    assert (found.values["SWD @16"], dict(found.reals)) == (148.0, {})
    both = add_results(found, [MetricResult(swd, {}, {"SWD": 12.0}, "/noise")])
    assert dict(both.reals) == {"SWD @16": 12.0}
    again = add_results(both, [trained])
    assert (again.values["SWD @16"], dict(again.reals)) == (160.0, {"SWD @16": 84.0})


def test_precision_is_the_main_column_of_pr():
    assert find_column("pr", ("precision @16", "recall @16")) == "precision @16"
