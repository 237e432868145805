from __future__ import annotations

import re

from qbench.mini.world import corpus
from qbench.mini.world.calibration import calibration
from qbench.mini.world.examples import END, START


def test_texts_are_documents_and_conversations() -> None:
    texts = calibration(400)
    conversations = [text for text in texts if text.startswith(START)]
    assert 150 < len(conversations) < 250
    for text in conversations:
        assert re.fullmatch(
            rf"{re.escape(START)}system\n.*?{re.escape(END)}\n{re.escape(START)}user\n.*"
            rf"{re.escape(END)}\n{re.escape(START)}assistant\n.+{re.escape(END)}\n",
            text,
            re.DOTALL,
        )
    assert not [text for text in texts if START in text and not text.startswith(START)]
    assert len(set(texts)) > 390


def test_a_shorter_list_is_the_beginning_of_a_longer_one() -> None:
    assert calibration(40) == calibration(80)[:40]


def test_calibration_holds_no_document_of_the_perplexity_corpora() -> None:
    texts = set(calibration(400))
    for register in corpus.PERPLEXITY:
        assert texts.isdisjoint(corpus.perplexity_documents(register))
