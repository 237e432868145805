"""Oracle: lm-eval's own mmlu tasks, fed the same CSV files, request for request."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from task_material import write_mmlu

from qbench.data import DataFolder
from qbench.tasks import ChoiceRequest, get_task, parse_task
from qbench.tasks.mmlu import AREA_OF

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # of torch and datasets, not ours
]


def yaml_of(subject: str) -> dict[str, Any]:
    """Configuration of a subject's task as lm-eval ships it, its include resolved."""
    yaml = pytest.importorskip("yaml", reason="needs the extra parity")
    lm_eval = pytest.importorskip("lm_eval", reason="needs the extra parity")
    folder = Path(lm_eval.__file__).parent / "tasks/mmlu/default"
    config = yaml.safe_load((folder / f"mmlu_{subject}.yaml").read_text())
    return yaml.safe_load((folder / config.pop("include")).read_text()) | config


def lm_eval_requests(base: Path, subject: str, shots: int) -> list[tuple[str, str]]:
    """Context and continuation of every request that lm-eval makes."""
    datasets = pytest.importorskip("datasets", reason="needs the extra parity")
    from lm_eval.api.task import ConfigurableTask

    def split(name: str) -> Any:
        with (base / name / f"{subject}_{name}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        return datasets.Dataset.from_list(
            [{"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])} for r in rows]
        )

    both = datasets.DatasetDict({name: split(name) for name in ("test", "dev")})
    config = yaml_of(subject)
    for key in ("tag", "dataset_path", "dataset_name"):
        config.pop(key)
    # The metadata would be handed to the data set's maker.
    config |= {"custom_dataset": lambda **_: both, "num_fewshot": shots, "metadata": None}
    task = ConfigurableTask(config=config)
    task.build_all_requests()
    return [instance.args for instance in task.instances]


def our_requests(data: Path, shots: int) -> dict[str, list[tuple[str, str]]]:
    """The same by subject from our task."""
    spec = parse_task(f"mmlu:lm-eval@{shots}")
    prepared = get_task("mmlu").prepare(
        spec, data, tokenizer=None, context_length=1, limit=None, seed=0
    )
    requests: dict[str, list[tuple[str, str]]] = {}
    for item in prepared.items:
        assert isinstance(item.request, ChoiceRequest)
        text = item.request.prompt.text()
        pairs = [(text, choice) for choice in item.request.choices]
        requests.setdefault(item.stratum, []).extend(pairs)
    return requests


@pytest.mark.parametrize("shots", [0, 1, 5])
def test_requests_are_equal_byte_for_byte(tmp_path: Path, shots: int) -> None:
    base = write_mmlu(tmp_path)
    for subject, ours in our_requests(tmp_path, shots).items():
        assert ours == lm_eval_requests(base, subject, shots), subject


@pytest.mark.parametrize("shots", [0, 1, 5])
def test_real_requests_are_equal_byte_for_byte(shared: Path, shots: int) -> None:
    base = DataFolder.open(shared / "data").mmlu()
    ours = our_requests(shared / "data", shots)
    assert len(ours["high_school_us_history"]) == 4 * 204
    for subject in ("high_school_us_history", "abstract_algebra", "professional_medicine"):
        assert ours[subject] == lm_eval_requests(base, subject, shots), subject


def test_every_subject_has_the_description_and_the_area_that_we_give_it() -> None:
    for subject, area in AREA_OF.items():
        config = yaml_of(subject)
        name = subject.replace("_", " ")
        assert config["description"] == (
            f"The following are multiple choice questions (with answers) about {name}.\n\n"
        )
        assert (config["fewshot_config"], config["fewshot_split"]) == (
            {"sampler": "first_n"},
            "dev",
        )
        # The authors' table and lm-eval's tags differ in this one subject.
        expected = "stem" if subject == "anatomy" else area
        assert config["tag"] == f"mmlu_{expected}_tasks"
