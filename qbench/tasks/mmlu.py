"""MMLU: four-choice questions in 57 subjects (Hendrycks et al. 2021).

Presets: ``lm-eval``, request for request what lm-eval 0.4's ``mmlu_*`` tasks send; ``official``,
the authors' ``evaluate.py``; ``paper``, the zero-shot chat protocol of arXiv 2402.16775. The score
is the share of right answers over all items (micro average), and by area and subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from qbench.data.folder import DataFolder
from qbench.data.mmlu import LETTERS, MmluQuestion, read_mmlu
from qbench.errors import RequestError
from qbench.metrics.accuracy import margin, pick
from qbench.metrics.extraction import mmlu_choice
from qbench.metrics.values import MetricDef
from qbench.tasks.base import (
    Prepared,
    PreparedItem,
    Preset,
    Score,
    Task,
    TextEncoder,
    assemble,
    require_template,
)
from qbench.tasks.chat import chat_request
from qbench.tasks.requests import ChoiceRequest, Prompt, Request
from qbench.tasks.spec import TaskSpec

# The four areas of hendrycks/test, categories.py. (lm-eval counts anatomy as stem.)
AREAS = {
    "stem": (
        "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
        "college_mathematics college_physics computer_security conceptual_physics "
        "electrical_engineering elementary_mathematics high_school_biology high_school_chemistry "
        "high_school_computer_science high_school_mathematics high_school_physics "
        "high_school_statistics machine_learning"
    ),
    "humanities": (
        "formal_logic high_school_european_history high_school_us_history "
        "high_school_world_history international_law jurisprudence logical_fallacies "
        "moral_disputes moral_scenarios philosophy prehistory professional_law world_religions"
    ),
    "social_sciences": (
        "econometrics high_school_geography high_school_government_and_politics "
        "high_school_macroeconomics high_school_microeconomics high_school_psychology "
        "human_sexuality professional_psychology public_relations security_studies sociology "
        "us_foreign_policy"
    ),
    "other": (
        "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging "
        "management marketing medical_genetics miscellaneous nutrition professional_accounting "
        "professional_medicine virology"
    ),
}
AREA_OF = {subject: area for area, subjects in AREAS.items() for subject in subjects.split()}

PRESETS = (
    Preset(
        "lm-eval",
        "choice",
        overflow="cut-left",
        default_shots=5,
        max_shots=5,
        version=1,
        description="lm-eval 0.4: description, first shots of dev, likeliest of ' A' to ' D'",
    ),
    Preset(
        "official",
        "choice",
        overflow="drop-shots",
        default_shots=5,
        max_shots=5,
        version=1,
        description="hendrycks/test: doubled space before the subject, whole shots dropped to fit",
    ),
    Preset(
        "paper",
        "chat",
        overflow="skip",
        default_shots=0,
        max_shots=0,
        version=1,
        description="arXiv 2402.16775: one chat turn, greedy, letter read from the answer",
    ),
)
PAPER_PROMPT = (
    "The following is a multiple-choice question. Please choose the most suitable one among A, B, "
    "C and D as the answer to this question.\n\n"
)


class Mmlu(Task):
    """Massive Multitask Language Understanding."""

    name = "mmlu"
    presets: ClassVar[Mapping[str, Preset]] = {preset.name: preset for preset in PRESETS}
    metric_defs = (MetricDef("acc", "mean", "correct", by_stratum=True),)
    chance = 0.25

    def prepare(
        self,
        spec: TaskSpec,
        data: Path,
        *,
        tokenizer: TextEncoder | None,
        context_length: int,
        limit: int | None,
        seed: int,
        window: int | None = None,
        stride: int | None = None,
    ) -> Prepared:
        """Build the requests; see ``Task.prepare``."""
        preset = self.presets[spec.preset]
        require_template(spec, preset, tokenizer)
        mmlu = read_mmlu(DataFolder.open(data))
        items = []
        for subject, questions in mmlu.test.items():
            shots = mmlu.dev.get(subject, ())[: spec.shots or 0]
            if len(shots) < (spec.shots or 0):
                raise RequestError(
                    f"{spec.canonical}: {subject}_dev.csv holds {len(shots)} shots; ask for fewer"
                )
            for question in questions:
                request, gold = _request(spec.preset, question, shots)
                item_id = f"{subject}/{question.row:04d}"
                items.append(PreparedItem(item_id, item_id, subject, request, gold))
        return assemble(spec, preset, items, data_sha256=mmlu.sha256, limit=limit, seed=seed)

    def score(self, item: PreparedItem, response: Mapping[str, Any]) -> Score:
        """Compare the likeliest letter, or the letter read from the text, with the gold one."""
        if isinstance(item.request, ChoiceRequest):
            chosen, gold = pick(response["logprobs"]), int(item.gold)
            lead = margin(response["logprobs"], gold)
            return Score("scored", _parts(chosen, gold) | {"margin": lead})
        found = mmlu_choice(response["text"], item.gold["choices"])
        parts = _parts(found.choice, int(item.gold["answer"])) | {"rule": found.rule}
        return Score("unparsed" if found.choice is None else "scored", parts)

    def subsets(self, stratum: str) -> tuple[str, ...]:
        """Area (none for a subject outside the 57) and subject."""
        subject = f"subject:{stratum}"
        return (AREA_OF[stratum], subject) if stratum in AREA_OF else (subject,)


def _parts(chosen: int | None, gold: int) -> dict[str, Any]:
    """Parts that every preset has."""
    return {"correct": int(chosen == gold), "pred": chosen, "gold": gold}


def _request(
    preset: str, question: MmluQuestion, shots: tuple[MmluQuestion, ...]
) -> tuple[Request, Any]:
    """Request and gold answer of a question under a preset."""
    if preset == "paper":
        text = PAPER_PROMPT + question.question + "\n" + _choices(question, "{}. {}\n")
        gold = {"answer": question.answer, "choices": list(question.choices)}
        return chat_request(text), gold
    subject = question.subject.replace("_", " ")
    if preset == "official":
        subject = " " + subject
    prompt = Prompt(
        f"The following are multiple choice questions (with answers) about {subject}.\n\n",
        tuple(f"{_question(preset, s)} {LETTERS[s.answer]}\n\n" for s in shots),
        _question(preset, question),
    )
    return ChoiceRequest(prompt, tuple(f" {letter}" for letter in LETTERS)), question.answer


def _question(preset: str, question: MmluQuestion) -> str:
    """Question, choices and the cue; lm-eval strips the question, the authors do not."""
    text = question.question.strip() if preset == "lm-eval" else question.question
    return text + _choices(question, "\n{}. {}") + "\nAnswer:"


def _choices(question: MmluQuestion, form: str) -> str:
    """All choices, each in the given form of letter and text."""
    pairs = zip(LETTERS, question.choices, strict=True)
    return "".join(form.format(letter, choice) for letter, choice in pairs)
