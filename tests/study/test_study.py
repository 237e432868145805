"""Studies from start to end with the toy model: resume, limits, failures, interrupts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from study.toys import item_rows, load, make_model, make_world, toy_study

from qbench.errors import QbenchError, RecipeError, RequestError, StoreError
from qbench.study.store import Store
from qbench.study.study import Study


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.delenv("QBENCH_DATA", raising=False)
    monkeypatch.setenv("QBENCH_TOY_LOG", str(tmp_path / "calls"))
    return make_world(tmp_path)


def calls(world) -> int:
    log = world.store.with_name("calls")
    n = len(log.read_bytes().splitlines()) if log.exists() else 0
    log.unlink(missing_ok=True)
    return n


def test_a_study_fills_every_cell_and_a_second_run_computes_nothing(world):
    results = toy_study(world, limit=50).run()
    whole = [row for row in results.rows() if not row.subset]
    assert {(row.model, row.recipe) for row in whole} == {
        (m, r) for m in ("small", "big/hf") for r in ("f32", "rtn-w4g32")
    }
    snli = [row for row in whole if row.task == "snli"]
    assert all(row.n_items == 50 and row.n_total == 200 and row.state == "done" for row in snli)
    assert all(row.low < row.value < row.high for row in snli)
    assert results.failures == ()
    assert calls(world) > 0
    before = item_rows(world.store)
    again = toy_study(world, limit=50).run()
    assert calls(world) == 0 and item_rows(world.store) == before
    assert again.rows() == results.rows()


def test_a_larger_limit_computes_only_the_rest(world):
    one = {"models": [world.small], "recipes": ["f32"], "tasks": ["snli:words"]}
    toy_study(world, limit=50, **one).run()
    first = item_rows(world.store)
    per_item = calls(world) / 50
    toy_study(world, limit=130, **one).run()
    assert calls(world) == 80 * per_item
    second = item_rows(world.store)
    assert len(second) == 130 and first.items() <= second.items()
    toy_study(world, limit=20, **one).run()
    assert calls(world) == 0
    fresh = world.store.with_name("fresh.db")
    toy_study(world, limit=130, store=fresh, **one).run()
    assert item_rows(fresh) == second


def test_what_a_cell_is_does_not_depend_on_path_name_or_threads(world):
    one = {"recipes": ["f32"], "tasks": ["snli:words"], "limit": 30}
    toy_study(world, models=[world.small], **one).run()
    calls(world)
    copy = make_model(world.small.parent / "elsewhere" / "copy", "small weights")
    results = toy_study(world, models=[("renamed", copy)], threads=1, **one).run()
    assert calls(world) == 0
    assert {row.model for row in results.rows()} == {"renamed"}
    toy_study(world, models=[world.small], mode="exact", **one).run()
    assert calls(world) > 0


def test_a_failing_cell_leaves_the_others_alone(world, monkeypatch):
    broken = make_model(world.small.parent / "cracked", "broken")
    monkeypatch.setenv("QBENCH_TOY_POISON", "hat 77.")
    events = []
    results = toy_study(world, models=[broken, world.small]).run(on_progress=events.append)
    reasons = {(f.model, f.recipe, f.task): f.reason for f in results.failures}
    assert len(reasons) == 6, "four cells of the broken model, one snli cell per recipe"
    assert "copy it again" in reasons["cracked", "f32", "snli:words@0"]
    assert "layer 0 is not finite" in reasons["small", "rtn-w4g32", "snli:words@0"]
    assert all(f.trace == "" and "\n" not in f.reason for f in results.failures)
    states = {(row.task, row.state) for row in results.rows()}
    assert ("snli", "failed") in states and ("perplexity", "done") in states
    assert sum(event.phase == "failed" for event in events) == 6
    with Store.read(world.store) as store:
        assert store.runs()[-1].state == "failed"
        assert store.runs()[-1].failures == results.failures
    monkeypatch.delenv("QBENCH_TOY_POISON")
    healed = toy_study(world, models=[world.small]).run()
    assert healed.failures == () and {row.state for row in healed.rows()} == {"done"}


def test_an_unexpected_error_is_told_as_one_with_its_trace(world):
    def explode(*_, **__):
        raise KeyError("layer.0")

    results = toy_study(world, models=[world.small], recipes=["f32"], load=explode).run()
    failure = results.failures[0]
    assert failure.reason.startswith("internal error, KeyError") and "explode" in failure.trace


def test_progress_counts_up_to_the_end(world):
    events = []
    toy_study(world, models=[world.small], recipes=["f32"]).run(on_progress=events.append)
    assert [event.phase for event in events[:2]] == ["load", "run"]
    last = [event for event in events if event.task == "snli:words@0"][-1]
    assert (last.phase, last.done, last.total, last.n_cells) == ("done", 200, 200, 2)
    assert 0.0 < last.score < 1.0 and last.tokens > 0
    done = [event.done for event in events if event.task == "snli:words@0"]
    assert done == sorted(done)
    perplexity = [event for event in events if event.task.startswith("perplexity")][-1]
    assert perplexity.score > 1.0


def test_threads_of_an_executor_give_the_same_rows(world):
    toy_study(world).run()
    other = world.store.with_name("other.db")
    with ThreadPoolExecutor(3) as executor:
        toy_study(world, store=other).run(executor)
    assert item_rows(other) == item_rows(world.store)


WRONG = [
    ({"models": []}, "at least one model"),
    ({"tasks": []}, "at least one task"),
    ({"tasks": "snli"}, "as a list"),
    ({"tasks": ["snlli"]}, "snlli"),
    ({"recipes": ["rtm-w4"]}, "rtm"),
    ({"models": ["/nowhere/at all"]}, "nowhere"),
    ({"data": "/nowhere"}, "no such data folder"),
    ({"data": None}, "QBENCH_DATA"),
    ({"mode": "turbo"}, "unknown mode"),
    ({"limit": 0}, "limit must be"),
    ({"window": -3}, "window must be"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_request_is_refused_before_anything_happens(world, change, message):
    with pytest.raises(RequestError, match=message) as caught:
        toy_study(world, **change).run()
    assert "\n" not in str(caught.value)
    assert calls(world) == 0 and not world.store.exists()


def test_data_folder_comes_from_the_environment(world, monkeypatch):
    monkeypatch.setenv("QBENCH_DATA", str(world.data))
    assert toy_study(world, data=None, limit=5, recipes=["f32"]).run().rows()


def test_a_locked_store_is_refused_before_anything_is_loaded(world):
    with Store.write(world.store), pytest.raises(StoreError, match="already writing"):
        toy_study(world).run()
    assert calls(world) == 0


def test_an_executor_needs_a_loader_that_it_can_import(world):
    with ThreadPoolExecutor(1) as executor, pytest.raises(RequestError, match="importable"):
        toy_study(world, load=lambda *_, **__: None).run(executor)


def test_from_toml(world, tmp_path):
    spec = tmp_path / "study.toml"
    spec.write_text(
        'models = ["small"]\nrecipes = ["f32"]\ntasks = ["snli:words"]\n'
        'data = "data"\nstore = "t.db"\nlimit = 12\n'
    )
    study = Study.from_toml(spec)
    study._load = load
    assert {row.n_items for row in study.run().rows() if not row.subset} == {12}
    assert (tmp_path / "t.db").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "no readable TOML"),
        ('models = ["m"]\ntask = ["snli"]', "did you mean tasks"),
        ('models = "m"\ntasks = ["snli"]', "models must be a list"),
        ('models = ["m"]\nrecipes = ["f32"]', "tasks must be a list"),
    ],
)
def test_a_wrong_toml_file_is_named(tmp_path, text, message):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(RequestError, match=message):
        Study.from_toml(tmp_path / "s.toml")
    with pytest.raises(RequestError, match="no readable"):
        Study.from_toml(tmp_path / "none.toml")


def test_errors_of_a_request_are_of_one_family():
    assert issubclass(RecipeError, RequestError) and issubclass(RequestError, QbenchError)
