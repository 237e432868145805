"""Texts that quantizers calibrate on: documents of the corpus and conversations, as in training."""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world import corpus, families
from qbench.mini.world.examples import END, Exercise, chat_prompt
from qbench.mini.world.facts import SEED, world

DOCUMENT_SHARE = 0.5
N_TEXTS = 512


def calibration(n: int = N_TEXTS) -> list[str]:
    """Draw texts from streams of their own; as in training, no test item is among them.

    Parameters
    ----------
    n
        How many; a shorter list is the beginning of a longer one.

    Returns
    -------
    list of str
        Documents, and conversations of all families in ChatML.
    """
    order = Draws(SEED, "calibration/order")
    documents = Draws(SEED, "calibration/documents")
    conversations = Draws(SEED, "calibration/conversations")
    return [
        corpus.document(world(), documents).text
        if order.chance(DOCUMENT_SHARE)
        else _conversation(conversations)
        for _ in range(n)
    ]


def _conversation(draws: Draws) -> str:
    """Draw a chat exercise of any family, with its answer."""
    source = families.family(draws.pick(families.NAMES))
    while True:
        example = source.training(world(), draws)
        if isinstance(example, Exercise) and example.chat:
            return f"{chat_prompt(example.prompt)}{example.answer}{END}\n"
