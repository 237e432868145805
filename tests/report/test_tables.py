"""The arrangement for a reader: right baseline, right change beside each score, nothing lost."""

from __future__ import annotations

import dataclasses

import pytest
from report.builders import MODELS, RECIPES, cell_view, choice_items, facts, results, with_mode

from qbench.models.tokenizer import PAIR_POLICIES
from qbench.report.tables import BOUNDARIES, Line, board, boundary_note, is_dense
from qbench.study.results import Results
from qbench.tasks import get_task


def lines(**wanted: object) -> list[Line]:
    return [
        line
        for line in board(results()).lines
        if all(getattr(line.row, name) == value for name, value in wanted.items())
    ]


def test_every_row_is_there_once_and_in_order() -> None:
    made = results()
    assert [line.row for line in board(made).lines] == made.rows()


def test_changes_are_those_of_the_paired_comparison() -> None:
    made = results()
    arranged = board(made)
    assert arranged.baselines == dict.fromkeys(MODELS, "f32")
    n_changes = 0
    for recipe in ("rtn-w8g32", "rtn-w2g32"):
        for found in made.compare("f32", recipe).rows():
            (line,) = (
                line
                for line in arranged.lines
                if (line.row.model, line.row.recipe, line.task, line.row.metric, line.row.subset)
                == (found.model, recipe, found.task, found.metric, found.subset)
            )
            assert line.change == found.__class__(
                **{**vars(found), "a": line.change.a, "b": line.change.b}
            )
            n_changes += 1
    assert n_changes == sum(line.change is not None for line in arranged.lines) > 20


def test_marks_follow_the_verdict() -> None:
    (worse,) = lines(model="small", recipe="rtn-w2g32", metric="ppl")
    assert (worse.mark, worse.verdict) == ("▼", "worse")
    (same,) = lines(model="small", recipe="rtn-w8g32", task="snli", metric="acc", subset="")
    assert (same.mark, same.verdict) == ("≈", "no difference shown")
    (base,) = lines(model="small", recipe="f32", metric="ppl")
    assert (base.mark, base.change, base.is_baseline) == ("", None, True)


def test_the_baseline_can_be_named() -> None:
    arranged = board(results(), "rtn-w8g32")
    assert arranged.baselines == dict.fromkeys(MODELS, "rtn-w8g32")
    assert all(line.change is None for line in arranged.lines if line.row.recipe == "rtn-w8g32")
    assert any(line.change for line in arranged.lines if line.row.recipe == "f32")


def test_without_a_baseline_it_says_so() -> None:
    arranged = board(results(recipes=("rtn-w8g32", "rtn-w2g32")))
    assert all(line.change is None for line in arranged.lines)
    assert len(arranged.remarks) == 2 and "no unquantized recipe" in arranged.remarks[0]


def test_other_modes_are_not_compared_but_told() -> None:
    base = cell_view(facts("small", "f32", "snli", "words", 0), choice_items("small", "f32"))
    other = cell_view(facts("small", "rtn-w8g32", "snli", "words", 0), choice_items("small", "f32"))
    arranged = board(Results([base, with_mode(other, "exact")]))
    assert all(line.change is None for line in arranged.lines)
    assert len(arranged.remarks) == 1 and "modes faithful and exact" in arranged.remarks[0]
    assert [grid.model for grid in arranged.grids()] == ["small (faithful)", "small (exact)"]


def test_grids_name_what_is_missing() -> None:
    small, large = board(results()).grids()
    assert (small.model, large.model) == MODELS
    assert small.tasks == large.tasks == ("perplexity:gptq", "snli:words@0", "mmlu:lm-eval@0")
    assert [recipe for recipe, _ in large.rows] == list(RECIPES)
    assert large.rows[2][1][2] == "failed"
    assert all(isinstance(cell, Line) for _, cells in small.rows for cell in cells)
    assert small.bits_per_weight("rtn-w8g32") == 8.75


def test_counts_stand_once_where_they_agree() -> None:
    small, large = board(results()).grids()
    assert small.shared_counts()[2][:2] == ["50 of 120 scored", "70 skipped"]
    assert large.shared_counts()[2][:3] == ["110 of 120 scored", "10 skipped", "27 cut"]
    views = [
        cell_view(facts("m", recipe, "mmlu", "lm-eval", 0), choice_items("m", recipe, skipped=n))
        for recipe, n in (("f32", 0), ("rtn-w8g32", 5))
    ]
    assert board(Results(views)).grids()[0].shared_counts() == [[]]


def test_problems_are_told_once() -> None:
    assert board(results()).problems() == [
        "small, mmlu:lm-eval@0: only 50 of 120 items scored, under half"
    ]
    about = facts("m", "f32", "snli", "words", 0)
    view = cell_view(about, choice_items("m", "f32", 50))
    partial = type(view)(view.cell._replace(n_wanted=60), view.load)
    assert board(Results([partial])).problems() == [
        "m, snli:words@0: partial: more items were asked for"
    ]


@pytest.mark.parametrize(
    ("recipe", "dense"),
    [("f32", True), ("bf16", True), ("f16+kv8", False), ("f16+head8", False), ("rtn-w4", False),
     ("external", False)],
)  # fmt: skip
def test_a_baseline_leaves_everything_as_it_is(recipe: str, dense: bool) -> None:
    assert is_dense(recipe) is dense


def test_the_boundary_is_told_per_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    presets = dict(get_task("snli").presets)
    presets["words"] = dataclasses.replace(presets["words"], boundary="separate")
    monkeypatch.setattr(type(get_task("snli")), "presets", presets)
    assert boundary_note(board(results())) == (
        f"Boundary separate (snli:words@0): {BOUNDARIES['separate']}; "
        f"Boundary whole (mmlu:lm-eval@0): {BOUNDARIES['whole']}."
    )
    assert set(BOUNDARIES) == set(PAIR_POLICIES)
