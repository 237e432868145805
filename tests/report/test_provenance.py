"""The head and the notes of a report say what was run, from the records alone."""

from __future__ import annotations

from dataclasses import replace

from report.builders import results, runs

from qbench.report.provenance import header, notes
from qbench.report.tables import board


def test_facts_come_from_cells_and_runs() -> None:
    made = results()
    facts = dict(header(board(made), [cell.facts for cell in made.cells], runs()))
    assert facts == {
        "qbench": "0.1.0", "Engine": "1", "Instruction set": "scalar", "Threads": "all allowed",
        "Mode": "faithful", "KV cache": "bf16", "Seed": "0", "Limit": "120",
        "Items, perplexity:gptq": "30 of 1000", "Items, snli:words@0": "120 of 1000",
        "Items, mmlu:lm-eval@0": "120 of 1000",
    }  # fmt: skip


def test_a_fact_that_differs_shows_all_its_values() -> None:
    made = results()
    cells = [cell.facts for cell in made.cells]
    cells[0] = replace(cells[0], isa_tier="avx512", seed=3)
    facts = dict(header(board(made), cells, ()))
    assert facts["Instruction set"] == "avx512, scalar" and facts["Seed"] == "3, 0"
    assert "qbench" not in facts and "Limit" not in facts


def test_commits_and_the_date_of_chat_prompts_are_facts() -> None:
    made, (run,) = results(), runs()
    spec = {"revisions": {"org/a": "a" * 40, "folder": None}, "chat_date": "2024-07-26"}
    run = run._replace(spec=run.spec | spec)
    cells = [cell.facts for cell in made.cells]
    facts = dict(header(board(made), cells, [run]))
    assert facts["Commit on the hub"] == f"org/a {'a' * 40}" and "Date in chat prompts" not in facts
    cells[0] = replace(cells[0], template_sha256="1")
    assert dict(header(board(made), cells, [run, run]))["Date in chat prompts"] == "2024-07-26"
    assert "Date in chat prompts" not in dict(header(board(made), cells, runs()))


def test_notes_tell_data_intervals_and_chance_marks() -> None:
    made = results()
    told = " ".join(notes(board(made), [cell.facts for cell in made.cells]))
    assert "snli:words@0: version 1, data bbbbbbbbbbbb, prompts aaaaaaaaaaaa" in told
    assert "Under 50% scored" in told
    n = board(made).n_compared
    assert n == 9  # two recipes, three tasks, two models, less the failed and the unscored cells
    assert f"{n} comparisons" in told and "about 0.45 of them" in told
    assert (
        "Intervals are 95 %: delta method with Student's t, on the logarithm, "
        "Clopper-Pearson (exact)." in told
    )
