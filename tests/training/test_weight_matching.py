"""Which layers of two networks fit, by hand."""

import pytest
import torch

from progan.training.weight_matching import LayerMatch, Overlap, match_layers, merge_weights

THEIRS = {
    "same.weight": torch.ones(2, 3),
    "same.bias": torch.ones(2),
    "wider.weight": torch.ones(5, 3),
    "wider.bias": torch.ones(2),
    "gone.weight": torch.ones(1),
}
OURS = {
    "born.weight": torch.zeros(4, 4),
    "wider.weight": torch.zeros(6, 3),
    "wider.bias": torch.zeros(2),
    "same.weight": torch.zeros(2, 3),
    "same.bias": torch.zeros(2),
}


def test_layers_are_copied_skipped_new_or_left_in_our_order() -> None:
    assert match_layers(THEIRS, OURS) == [
        LayerMatch("born", "new", None, (4, 4), {}),
        LayerMatch("wider", "skipped", (5, 3), (6, 3), {}),
        LayerMatch("same", "copied", (2, 3), (2, 3), {"same.weight": (), "same.bias": ()}),
        LayerMatch("gone", "left", (1,), None, {}),
    ]


def test_what_is_merged_is_what_was_copied_and_nothing_else() -> None:
    result = merge_weights(THEIRS, OURS, match_layers(THEIRS, OURS))
    assert list(result) == list(OURS)
    assert {name for name, value in result.items() if value.any()} == {"same.weight", "same.bias"}
    assert result["same.weight"].all() and not OURS["same.weight"].any()


def test_a_layer_with_other_tensors_is_skipped() -> None:
    theirs = {"a.weight": torch.ones(2)}
    ours = {"a.weight": torch.zeros(2), "a.bias": torch.zeros(2)}
    assert [row.status for row in match_layers(theirs, ours)] == ["skipped"]
    assert [row.status for row in match_layers(ours, theirs)] == ["skipped"]


@pytest.mark.parametrize(
    ("overlap", "copied"),
    [
        (Overlap(dim=0, source=4, target=6, kept=1), ([0], [0, 1, 2])),
        (Overlap(dim=0, source=4, target=6, kept=3), ([0, 1, 2], [0, 1, 2])),
        (Overlap(dim=1, source=4, target=6, kept=3), ([], [])),
        (Overlap(dim=0, source=3, target=6, kept=1), ([], [])),
        (Overlap(dim=0, source=4, target=5, kept=1), ([], [])),
    ],
)
def test_rows_that_overlap_are_copied(
    overlap: Overlap, copied: tuple[list[int], list[int]]
) -> None:
    theirs = {"a.weight": torch.ones(4, 3), "a.bias": torch.ones(4)}
    ours = {"a.weight": torch.zeros(6, 3), "a.bias": torch.zeros(6)}
    matches = match_layers(theirs, ours, overlap)
    assert [row.status for row in matches] == ["in part" if copied[0] else "skipped"]
    assert merge_weights(theirs, ours, matches)["a.weight"].nonzero().tolist() == [
        [row, column] for row in copied[0] for column in copied[1]
    ]
    assert merge_weights(theirs, ours, matches)["a.bias"].nonzero().flatten().tolist() == copied[0]


def test_columns_that_overlap_are_copied_beside_a_bias_that_is_the_same() -> None:
    theirs = {"a.weight": torch.ones(2, 5), "a.bias": torch.ones(2)}
    ours = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    matches = match_layers(theirs, ours, Overlap(dim=1, source=5, target=3, kept=2))
    result = merge_weights(theirs, ours, matches)
    assert result["a.weight"].tolist() == [[1, 1, 0], [1, 1, 0]] and result["a.bias"].all()


def test_an_overlap_needs_all_other_dimensions_to_be_the_same() -> None:
    overlap = Overlap(dim=1, source=5, target=3, kept=2)
    assert overlap.region((2, 5, 7), (2, 3, 7)) == (slice(None), slice(2))
    assert overlap.region((2, 5, 7), (2, 3, 8)) is None
    assert overlap.region((1, 5), (2, 3)) is None
    assert overlap.region((2, 5), (2, 3, 1)) is None
    assert overlap.region((5,), (3,)) is None
