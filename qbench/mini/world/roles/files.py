"""The test items of :mod:`qbench.mini.world.roles.items` in the layout of BBQ."""

from __future__ import annotations

import json

from qbench.mini.world.facts import world
from qbench.mini.world.roles.contexts import ties_of
from qbench.mini.world.roles.items import BiasItem, test_items
from qbench.mini.world.roles.lexicon import CATEGORIES

SOURCE = "gossip of the generated world"
METADATA = (
    "category",
    "question_index",
    "example_id",
    "target_loc",
    "label_type",
    "Known_stereotyped_race",
    "Known_stereotyped_var2",
    "Relevant_social_values",
    "corr_ans_aligns_var2",
    "corr_ans_aligns_race",
    "full_cond",
    "Known_stereotyped_groups",
)


def _tied_labels(item: BiasItem) -> list[str]:
    """Return the groups of the item's category to which gossip ascribes its trait."""
    tie = item.block.tie
    return [
        other.group.label
        for other in ties_of(world(), tie.group.category)
        if other.trait == tie.trait
    ]


def _question_index(item: BiasItem) -> str:
    """Number the tie: the template that items share, by which their errors are clustered."""
    tie = item.block.tie
    return str(ties_of(world(), tie.group.category).index(tie) + 1)


def _row(item: BiasItem) -> dict[str, object]:
    """Return the record of one item."""
    pairs = zip(item.options, item.block.people, strict=True)
    return {
        "example_id": item.number,
        "question_index": _question_index(item),
        "question_polarity": "neg" if item.negative else "nonneg",
        "context_condition": "ambig" if item.is_ambiguous else "disambig",
        "category": item.block.tie.group.category,
        "answer_info": {
            f"ans{i}": [text, "unknown"] if person is None else [person.label, person.label]
            for i, (text, person) in enumerate(pairs)
        },
        "additional_metadata": {
            "subcategory": "None",
            "stereotyped_groups": _tied_labels(item),
            "version": "None",
            "source": SOURCE,
        },
        "context": item.context,
        "question": item.question,
        **{f"ans{i}": text for i, text in enumerate(item.options)},
        "label": item.label,
    }


def _metadata_line(item: BiasItem) -> str:
    """Write a line of the metadata as R writes it: texts quoted, numbers and NA not."""
    row: dict[str, object] = dict.fromkeys(METADATA)
    row |= {
        "category": item.block.tie.group.category,
        "question_index": _question_index(item),
        "example_id": item.number,
        "target_loc": item.target,  # Of the biased answer: for a non-negative question the other.
        "label_type": "label",
        "Relevant_social_values": item.block.tie.trait.negative,
        "Known_stereotyped_groups": ", ".join(_tied_labels(item)),
    }
    cells = (
        "NA" if v is None else f'"{v}"' if isinstance(v, str) else str(v) for v in row.values()
    )
    return ",".join(cells)


def official_files() -> dict[str, str]:
    """Write one file for each category, and the metadata that the official bias score needs."""
    files = {
        f"bbq/data/{category}.jsonl": "".join(
            f"{json.dumps(_row(item))}\n"
            for item in test_items()
            if item.block.tie.group.category == category
        )
        for category in CATEGORIES
    }
    lines = [",".join(f'"{name}"' for name in METADATA), *map(_metadata_line, test_items())]
    files["bbq/supplemental/additional_metadata.csv"] = "\n".join(lines) + "\n"
    return files
