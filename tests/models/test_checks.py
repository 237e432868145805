from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qbench.errors import CheckpointError, QbenchWarning
from qbench.models.checks import check_model
from qbench.models.spec import DecoderSpec
from qbench.models.tokenizer import Tokenizer

MakeFolder = Callable[..., Path]
PLAIN = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
BOS_FIRST = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
               {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [259], "tokens": ["<|begin|>"]}},
}  # fmt: skip


def told(spec: DecoderSpec, folder: Path, template: str | None = None) -> list[str]:
    """The warnings about a folder, each shown to be one line that names it."""
    tokenizer = Tokenizer.from_folder(folder, spec)
    if template is not None:
        tokenizer = tokenizer.with_template(template)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_model(spec, tokenizer, folder)
    assert all(w.category is QbenchWarning for w in caught)
    texts = [str(w.message) for w in caught]
    cached = folder.parent.name == "snapshots"
    label = f"{folder.parent.parent.name[8:].replace('--', '/')}@{'a' * 12}" if cached else folder
    assert all("\n" not in text and text.startswith(f"{label}: ") for text in texts)
    return [text.removeprefix(f"{label}: ") for text in texts]


BOS_CASES = [
    # add_bos_token, post-processor, template, whether BOS would stand twice
    (True, None, "{{ bos_token }}" + PLAIN, True),
    (True, None, "<|begin|>" + PLAIN, True),
    (None, BOS_FIRST, "{{ bos_token }}" + PLAIN, True),
    (True, None, PLAIN, False),
    (False, None, "{{ bos_token }}" + PLAIN, False),
    (True, None, PLAIN + "{{ bos_token }}", False),
    (True, None, "{{ bos_token }}{{ raise_exception('no') }}", False),
    (True, None, None, False),
]


@pytest.mark.parametrize(("flag", "post", "template", "twice"), BOS_CASES)
def test_double_bos(
    flag: bool | None, post: Any, template: str | None, twice: bool,
    tokenizer_folder: MakeFolder, spec: DecoderSpec,
) -> None:  # fmt: skip
    settings = {} if flag is None else {"add_bos_token": flag}
    if template is not None:
        settings["chat_template"] = template  # type: ignore[assignment]
    folder = tokenizer_folder(settings, post_processor=post)
    found = told(spec, folder)
    assert len(found) == twice
    if twice:
        assert "the chat template writes '<|begin|>' and the tokenizer adds one as well" in found[0]
        # what the warning promises
        tokenizer = Tokenizer.from_folder(folder, spec)
        text = tokenizer.render_chat([{"role": "user", "content": "a"}])
        assert tokenizer.encode(text).count(259) == 1


NAMES = {
    "Qwen2.5-0.5B-Instruct": "Instruct", "llama-2-7b-chat-hf": "chat", "gemma-2-2b-it": "it",
    "my_model.instruct": "instruct", "Chat7B": "Chat", "bitnet-3b": None, "italian-7b": None,
    "Llama-3-8B": None, "merit": None, "chatty-7b": None,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_model_for_chat_without_a_template(
    name: str, tokenizer_folder: MakeFolder, spec: DecoderSpec, tmp_path: Path
) -> None:
    made = tokenizer_folder()
    for place in (tmp_path / name, tmp_path / f"models--org--{name}" / "snapshots" / ("a" * 40)):
        folder = shutil.copytree(made, place)
        found = told(spec, folder)
        word = NAMES[name]
        assert len(found) == (word is not None)
        if word:
            assert f"its name says {word!r}, but there is no chat template" in found[0]
            assert "--chat-template" in found[0]
        assert told(spec, folder, "chatml") == []
    (made / "config.json").write_text(json.dumps({"_name_or_path": f"org/{name}"}))
    assert len(told(spec, made)) == (NAMES[name] is not None)
    several = [{"name": "a", "template": "x"}, {"name": "b", "template": "y"}]
    assert told(spec, tokenizer_folder({"chat_template": several})) == []


def test_chatml_by_rule_is_told(tokenizer_folder: MakeFolder, spec: DecoderSpec) -> None:
    folder = tokenizer_folder()
    qwen = dataclasses.replace(spec, architecture="QWenLMHeadModel", model_type="qwen")
    (text,) = told(qwen, folder)
    assert "taken is ChatML with the system message of its own code" in text
    assert told(qwen, folder, "chatml") == [] == told(qwen, folder, "qwen")
    assert told(spec, folder, "qwen") == []
    (folder / "generation_config.json").write_text('{"chat_format": "raw"}')
    assert told(qwen, folder) == []


@pytest.mark.parametrize(
    ("rows", "strange"),
    [(264, False), (300, False), (520, False), (521, True), (5000, True), (1 << 20, True)],
)
def test_a_vocabulary_that_padding_does_not_explain(
    rows: int, strange: bool, tokenizer_folder: MakeFolder, spec: DecoderSpec
) -> None:
    found = told(dataclasses.replace(spec, vocab_size=rows), tokenizer_folder())
    assert len(found) == strange
    if strange:
        assert f"the tokenizer has 264 tokens, the model rows for {rows}" in found[0]


REAL_VOCABULARIES = [
    # rows of the embedding, tokens of the tokenizer: Qwen2.5 7B and 72B, Llama 3, Phi-3, Pythia,
    # DeepSeek-V2-Lite, OPT, Phi-2, GPT-J
    (152_064, 151_665), (151_936, 151_665), (128_256, 128_256), (32_064, 32_011), (50_304, 50_277),
    (102_400, 100_002), (50_272, 50_265), (51_200, 50_295), (50_400, 50_257),
]  # fmt: skip


def test_paddings_in_use_are_not_strange() -> None:
    from qbench.models.checks import PADDING_ROWS, PADDING_SHARE

    assert all(r - t <= max(PADDING_ROWS, PADDING_SHARE * r) for r, t in REAL_VOCABULARIES)


def test_special_ids_that_the_tokenizer_lacks(
    tokenizer_folder: MakeFolder, spec: DecoderSpec
) -> None:
    wrong = dataclasses.replace(spec, bos_token_id=280, eos_token_ids=(261, 290))
    found = told(wrong, tokenizer_folder())
    assert [text.split(" is no token")[0] for text in found] == [
        "the configuration's bos_token_id 280", "the configuration's eos_token_id 290",
    ]  # fmt: skip


def test_without_a_tokenizer_there_is_nothing_to_say(spec: DecoderSpec, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_model(spec, None, tmp_path)


def test_load_warns_where_the_user_stands(tiny_model: Path, tmp_path: Path) -> None:
    from qbench.quant.load import load

    folder = shutil.copytree(tiny_model, tmp_path / "tiny-chat")
    with pytest.warns(QbenchWarning, match="its name says 'chat'") as caught:
        load(folder, threads=1)
    assert [w.filename for w in caught] == [__file__]


def test_an_added_token_behind_the_embedding(
    tokenizer_folder: MakeFolder, spec: DecoderSpec
) -> None:
    """As the mark of an image in the text models of Gemma 3; a token of the vocabulary may not."""
    folder = tokenizer_folder()
    found = told(dataclasses.replace(spec, vocab_size=263), folder)
    assert found[0].startswith("the model has no row for the added tokens '<tool_call>': ")
    with pytest.raises(CheckpointError, match="does not fit the model"):
        Tokenizer.from_folder(folder, dataclasses.replace(spec, vocab_size=258))
