"""How near ``faithful`` and ``fast`` are to ``exact`` on the activations of trained models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import bench_precision
import numpy as np
import pytest
from bench_precision import RECIPES, SHARED_MODELS, product_errors, product_inputs, texts_of
from tolerance import PRECISION, PRECISION_WITH_OUTLIERS

from qbench.mini.family import MODELS, embedded_models
from qbench.models import Checkpoint, DecoderSpec, MemoryCheckpoint, decoder_spec, read_config


class Subject(NamedTuple):
    """A trained model, and the inputs of its products."""

    spec: DecoderSpec
    checkpoint: Checkpoint
    inputs: dict[str, np.ndarray]


SUBJECTS = [
    pytest.param(name, marks=pytest.mark.slow if name == "mini-large" else ())
    for name in (*MODELS, *SHARED_MODELS)
]


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    name = request.param
    if name in MODELS:
        if name not in embedded_models():
            pytest.skip("the model is not trained to the end yet")
        folder = embedded_models()[name]
    else:
        folder = request.getfixturevalue("shared") / "models" / name / "hf"
    spec = decoder_spec(read_config(folder), name)
    with Checkpoint.open(folder) as checkpoint:
        inputs = product_inputs(spec, checkpoint, texts_of(folder, spec))
        yield Subject(spec, checkpoint, inputs)


def check(
    errors: dict[str, bench_precision.Errors], bounds: dict[str, tuple[float, float]]
) -> None:
    """Compare the errors of every mode with their bounds, and with each other."""
    for mode, found in errors.items():
        median, worst = bounds[mode]
        assert found.median <= median, mode
        assert found.of[found.worst] <= worst, (mode, found.worst)
    # A mode that is not applied would be near, too.
    assert 0 < 3 * errors["exact"].median < errors["faithful"].median < errors["fast"].median / 50


@pytest.mark.parametrize("recipe", RECIPES)
def test_modes_on_the_activations_of_trained_models(recipe: str, subject: Subject) -> None:
    assert len(subject.inputs) == 7 * subject.spec.n_layers + 1
    assert all(len(x) >= 300 for x in subject.inputs.values())
    kind = "float" if recipe == "bf16" else "integer"
    bounds = {mode: bound for (of, mode), bound in PRECISION.items() if of == kind}
    check(product_errors(*subject, recipe), bounds)


@pytest.mark.parametrize("recipe", RECIPES)
def test_integer_grids_are_coarser_where_channels_stand_out(
    recipe: str,
    tiny_model: Path,
    tiny_weights: dict[str, np.ndarray],
    outlier_weights: dict[str, np.ndarray],
) -> None:
    spec = decoder_spec(read_config(tiny_model), "tiny")
    texts = texts_of(tiny_model, spec)[:2]
    found = []
    for weights in (tiny_weights, outlier_weights):
        checkpoint = MemoryCheckpoint(weights)
        inputs = product_inputs(spec, checkpoint, texts)
        found.append(product_errors(spec, checkpoint, inputs, recipe))
    plain, outliers = found
    if recipe == "bf16":  # rounds every value by itself
        assert outliers == plain
        return
    check(outliers, PRECISION_WITH_OUTLIERS)
    for mode in ("faithful", "fast"):
        assert outliers[mode].median > 5 * plain[mode].median


def test_a_quantized_copy_of_a_tied_head_is_what_is_measured(tiny_model: Path) -> None:
    spec = decoder_spec(read_config(tiny_model), "tiny")
    assert spec.tied_head
    with Checkpoint.open(tiny_model) as checkpoint:
        inputs = product_inputs(spec, checkpoint, [[5, 6, 7]])
        plain, copied = (
            product_errors(spec, checkpoint, inputs, recipe)["faithful"].of
            for recipe in ("rtn-w4", "rtn-w4+head4")
        )
    changed = [name for name in plain if plain[name] != copied[name]]
    assert changed == [bench_precision.EMBEDDING]


def test_the_error_is_that_of_norms() -> None:
    expected = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)
    assert bench_precision.relative(expected + np.float32(0.5), expected) == 0.2
    errors = bench_precision.Errors({"a": 1.0, "b": 4.0, "c": 3.0})
    assert (errors.median, errors.worst) == (3.0, "b")


def test_the_table_has_a_line_for_each_recipe(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench_precision", "--models", str(tiny_model), "--recipes", "bf16,rtn-w2"]
    monkeypatch.setattr("sys.argv", arguments)
    bench_precision.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line[:2] == "  "]
    assert [line[0] for line in lines] == ["bf16", "rtn-w2"]
    for line in lines:
        assert line[1::4] == ["exact", "faithful", "fast"]
        assert all(float(number) > 0 for i in (2, 6, 10) for number in line[i : i + 2])
