r"""SNLI, whether a premise implies a hypothesis (Bowman et al. 2015).

Presets: ``words``, plain text whose likeliest continuation of " Yes", " No" and " Maybe" is the
answer (sums of log-probabilities, ties to the first); ``paper``, the chat protocol of
arXiv 2402.16775. The prompt of ``words`` is
``{premise}\nQuestion: Does this imply that "{hypothesis}"? Yes, no, or maybe?\nAnswer:``.
Accuracy is reported by gold label too, and beside the share of the commonest label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from qbench.data.folder import DataFolder
from qbench.data.snli import SnliPair, read_snli
from qbench.metrics.accuracy import margin, pick
from qbench.metrics.extraction import says_word
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

# Answers in the order of the alternatives, with the label that each one means.
LABELS = ("entailment", "contradiction", "neutral")
WORDS = ("Yes", "No", "Maybe")

PRESETS = (
    Preset(
        "words",
        "choice",
        overflow="skip",
        default_shots=0,
        max_shots=0,
        version=1,
        description="plain text, likeliest of ' Yes', ' No', ' Maybe'",
    ),
    Preset(
        "paper",
        "chat",
        overflow="skip",
        default_shots=0,
        max_shots=0,
        version=1,
        description="arXiv 2402.16775: one chat turn, sampled (top-p 0.8), gold word must stand "
        "delimited at its first occurrence",
    ),
)


class Snli(Task):
    """Stanford Natural Language Inference."""

    name = "snli"
    presets: ClassVar[Mapping[str, Preset]] = {preset.name: preset for preset in PRESETS}
    metric_defs = (
        MetricDef("acc", "mean", "correct", by_stratum=True),
        MetricDef("majority_baseline", "mean", "majority", of_model=False),
    )
    chance = 1 / 3

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
        snli = read_snli(DataFolder.open(data))
        counts = Counter(pair.label for pair in snli.pairs)
        majority = max(LABELS, key=lambda label: counts[label])
        items = [
            PreparedItem(
                pair.id,
                pair.group,
                pair.label,
                _request(spec.preset, pair),
                {"answer": LABELS.index(pair.label), "majority": LABELS.index(majority)},
            )
            for pair in snli.pairs
        ]
        notes = [f"data: {snli.path.name}"]
        if snli.n_unlabelled:
            notes.append(f"{snli.n_unlabelled} rows without a gold label dropped")
        return assemble(
            spec, preset, items, data_sha256=snli.sha256, limit=limit, seed=seed, notes=notes
        )

    def score(self, item: PreparedItem, response: Mapping[str, Any]) -> Score:
        """Compare the likeliest word, or the words of the text, with the gold one."""
        gold = int(item.gold["answer"])
        parts = {"gold": gold, "majority": int(gold == item.gold["majority"])}
        if isinstance(item.request, ChoiceRequest):
            chosen = pick(response["logprobs"])
            lead = margin(response["logprobs"], gold)
            return Score(
                "scored", {"correct": int(chosen == gold), "pred": chosen, "margin": lead} | parts
            )
        # The paper's rule looks for the gold word only, so an answer may satisfy several labels;
        # ``pred`` is the gold one if it was found, else the first of the others that was.
        said = [i for i, word in enumerate(WORDS) if says_word(response["text"], word.lower())]
        chosen_word = gold if gold in said else said[0] if said else None
        return Score(
            "scored" if said else "unparsed",
            {"correct": int(gold in said), "pred": chosen_word} | parts,
        )


def _request(preset: str, pair: SnliPair) -> Request:
    """Request of a pair under a preset."""
    question = f'Question: Does this imply that "{pair.hypothesis}"? Yes, no, or maybe?'
    if preset == "paper":
        # Qwen-Chat's default generation_config, which the paper's script left in force.
        return chat_request(f"{pair.premise}\n\n{question}", temperature=1.0, top_p=0.8)
    prompt = Prompt("", (), f"{pair.premise}\n{question}\nAnswer:")
    return ChoiceRequest(prompt, tuple(f" {word}" for word in WORDS))
