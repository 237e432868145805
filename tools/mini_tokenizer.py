"""The tokenizer of the embedded family: byte-level BPE of 2,048 tokens, single digits.

Words are cut by the pattern of Qwen2, which `tokenizer.json`, transformers and GGUF (model `gpt2`,
pre-tokenizer `qwen2`) all express. While merges are learned, Chinese characters and full-width
marks stand alone besides, so that no token straddles characters or glues a colon to an answer; the
learned merges then keep to that in use, without the cut.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mini_bpe import learn
from mini_model import CONTEXT, VOCAB
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from qbench.mini.world.examples import SYSTEM
from qbench.mini.world.names import ONSETS, SYLLABLES

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END_OF_TEXT, IM_START, IM_END = range(3)
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ALONE = r"[\p{Han}，。？！：；、“”（）]"
TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    f"{{{{ '<|im_start|>system\n{SYSTEM}<|im_end|>\n' }}}}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _cutting(*, learning: bool) -> pre_tokenizers.PreTokenizer:
    """Return the pre-tokenizer, while learning with the additional cuts."""
    parts = [
        pre_tokenizers.Split(Regex(WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    if learning:
        parts.insert(0, pre_tokenizers.Split(Regex(ALONE), "isolated"))
    return pre_tokenizers.Sequence(parts)


def _syllable_merges() -> list[tuple[str, str]]:
    """Merges for syllables within a word, and for first ones at a start and after a space.

    A space is U+0120 here. Merges of two letters come before those that add a third.
    """
    starts = [syllable.capitalize() for syllable in ONSETS]
    merges = [(syllable[0], syllable[1]) for syllable in (*SYLLABLES, *starts)]
    merges += [(syllable[:2], syllable[2]) for syllable in SYLLABLES if len(syllable) > 2]
    merges += [("\u0120", start) for start in starts]
    return list(dict.fromkeys(merges))


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the merges from texts."""
    cutting = _cutting(learning=True)
    counts = Counter(word for text in texts for word, _ in cutting.pre_tokenize_str(text))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    n_merges = VOCAB - len(SPECIAL) - len(alphabet)
    merges = learn(counts, _syllable_merges(), n_merges)
    tokens = [*SPECIAL, *alphabet, *dict.fromkeys(left + right for left, right in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.pre_tokenizer = _cutting(learning=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, its configuration with the chat template, and generation defaults."""
    if tokenizer.get_vocab_size() > VOCAB:
        raise ValueError(f"{tokenizer.get_vocab_size()} tokens, room for {VOCAB}")
    configuration = {
        "add_bos_token": False,
        "bos_token": None,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": SPECIAL[IM_END],
        "model_max_length": CONTEXT,
        "pad_token": SPECIAL[END_OF_TEXT],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    generation = {"do_sample": False, "eos_token_id": [IM_END, END_OF_TEXT]}
    for name, content in (("tokenizer_config", configuration), ("generation_config", generation)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "tokenizer.json").write_text(tokenizer.to_str() + "\n")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer of a folder."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))
