"""The terminal's tables: every score, change and count, and no control character."""

from __future__ import annotations

import re

from report.builders import HOSTILE, cell_view, choice_items, facts, results

from qbench.cli.board import print_board
from qbench.cli.terminal import console
from qbench.report.tables import Board, board
from qbench.study.results import Results


def shown(arranged: Board) -> str:
    screen = console()
    with screen.capture() as captured:
        print_board(screen, arranged)
    return captured.get()


def test_scores_changes_and_counts_are_there() -> None:
    made = results()
    text = shown(board(made))
    for found in made.compare("f32", "rtn-w2g32").rows():
        if found.metric == "ppl":
            assert f"{found.value_b:.4g}"[:5] in text
            assert f"+{found.delta:.4f} ln ▼" in text
        elif found.task == "snli:words@0" and found.metric == "acc" and not found.subset:
            sign = "−" if found.delta < 0 else "+"
            assert f"{sign}{abs(100 * found.delta):.1f} points" in text
    assert text.count("no score") == 3
    assert text.count("only 50 of 120 items scored, under half") == 1
    assert "failed" in text and "layer 3 gave <b>NaN</b>" in text
    assert "50 of 120 scored" in text and "70 skipped" in text and "27 cut" in text
    assert text.count("120 of 120 scored") == 2  # once per model, not once per recipe


def test_a_line_has_its_own_counts_where_recipes_differ() -> None:
    views = [
        cell_view(facts("m", recipe, "mmlu", "lm-eval", 0), choice_items("m", recipe, skipped=n))
        for recipe, n in (("f32", 0), ("rtn-w8g32", 5))
    ]
    text = shown(board(Results(views)))
    assert "120 of 120 scored" in text and "115 of 120 scored" in text and "\n items" not in text


def test_hostile_names_reach_no_terminal() -> None:
    text = shown(board(results(models=(HOSTILE, "[bold]large[/bold]"))))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "[bold]large[/bold]" in text and "<img src=x onerror=alert(1)>" in text


def test_the_boundary_in_use_is_printed() -> None:
    text = " ".join(shown(board(results())).split())
    assert "Boundary whole (snli:words@0, mmlu:lm-eval@0): prompt and choice encoded as one" in text
    alone = cell_view(facts("m", "f32", "perplexity", "gptq", None), [])
    assert "Boundary" not in shown(board(Results([alone])))
