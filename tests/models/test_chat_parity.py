"""Every chat template of the shared material against transformers: text, and ids where possible."""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conversations import TOOLS, Conversation, conversations
from specs import plain_spec

from qbench.errors import RequestError, TemplateError
from qbench.models.chat.process import FROZEN_DATE
from qbench.models.chat.template import Renderer
from qbench.models.tokenizer import Tokenizer

pytestmark = pytest.mark.parity

CONFIGS = ("deepseek-r1-distill-llama-8b", "minimind", "qwen2.5-0.5b-instruct", "qwen2.5-3b",
           "qwen3-0.6b")  # fmt: skip
# Templates whose tokenizer is there: how to come by it, and whose configuration names its tokens.
TOKENIZED = {
    "Qwen-Qwen2.5-7B-Instruct": ("qwen2", "qwen2.5-0.5b-instruct"),
    "qwen2.5-0.5b-instruct": ("qwen2", "qwen2.5-0.5b-instruct"),
    "qwen2.5-3b": ("qwen2", "qwen2.5-3b"),
    "qwen3-0.6b": ("qwen2", "qwen3-0.6b"),
    "meta-llama-Llama-3.1-8B-Instruct": ("llama3", "llama-3"),
    "meta-llama-Llama-3.2-3B-Instruct": ("llama3", "llama-3"),
    "meta-llama-Llama-3.3-70B-Instruct": ("llama3", "llama-3"),
    "smollm2-135m-instruct": ("file", "smollm2-135m-instruct"),
    "minimind": ("file", "minimind"),
}
NEEDED = {
    "fireworks-ai-llama-3-firefunction-v2": {
        "functions": '[{"name": "f"}]',
        "datetime": "2024-07-26 12:00",
    }
}
SPEC = plain_spec()


def sources(shared: Path) -> dict[str, str]:
    """Every template by name."""
    folder = shared / "tokenizers"
    files = {path.stem: path for path in sorted((folder / "chat-templates").glob("*.jinja"))}
    files["smollm2-135m-instruct"] = folder / "smollm2-135m-instruct" / "chat_template.jinja"
    found = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    for name in CONFIGS:
        settings = json.loads((folder / name / "tokenizer_config.json").read_text())
        found[name] = settings["chat_template"]
    return found


def asked(name: str, known: frozenset[str]) -> list[Conversation]:
    """The conversations that a template supports: it has every variable that is given.

    Templates for the use of tools often refuse everything without any; they get all rows with tools
    as well. One wants variables of its own.
    """
    rows = [r._replace(variables={**r.variables, **NEEDED.get(name, {})}) for r in conversations()]
    if name.endswith("tool_use"):
        more = [r for r in rows if "tools" not in r.variables]
        rows += [r._replace(variables={**r.variables, "tools": TOOLS}) for r in more]
    return [
        row
        for row in rows
        if all(name in known or value is False for name, value in row.variables.items())
    ]


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The oracle, on the day on which our templates live."""
    found = pytest.importorskip("transformers", reason="the oracle is not installed")
    from transformers.utils import chat_template_utils

    class Day(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return datetime.datetime.fromisoformat(FROZEN_DATE)

    monkeypatch.setattr(chat_template_utils, "datetime", Day)
    return found


def ours(render: Any, row: Conversation) -> Any:
    """Our answer, or None where we refuse."""
    with contextlib.suppress(TemplateError, RequestError):
        return render(row.messages, row.generate, row.variables)
    return None


def theirs(tokenizer: Any, source: str, row: Conversation, **options: Any) -> Any:
    """The oracle's answer, or None where it raises."""
    with contextlib.suppress(Exception):
        return tokenizer.apply_chat_template(
            row.messages, chat_template=source, add_generation_prompt=row.generate,
            return_dict=False, **row.variables, **options,
        )  # fmt: skip
    return None


def bare(transformers: Any, names: dict[str, str]) -> Any:
    """A tokenizer of transformers that knows nothing but the names of special tokens."""
    import tokenizers

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0}, unk_token="x"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def test_texts_equal(shared: Path, transformers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"bos_token": "<bos>", "eos_token": "<eos>"}
    oracle = bare(transformers, names)
    assert len(conversations()) >= 50
    lines, wrong = [], []
    for name, source in sources(shared).items():
        renderer, counts = Renderer(source, names), Counter[str]()
        for number, row in enumerate(asked(name, renderer.variables)):
            expected = theirs(oracle, source, row, tokenize=False)
            found = ours(renderer.render, row)
            counts["refused" if expected is None else "rendered"] += 1
            if found != expected:
                wrong.append((name, number, row, found, expected))
        renderer.close()
        lines.append(f"{name:52} {counts['rendered']:4} {counts['refused']:4}")
        assert counts["rendered"] >= 50, name
    with capsys.disabled():
        print("\n".join(["", f"{'chat template':52} text both", f"{'':52} same refuse", *lines]))
    assert len(lines) == 23
    assert wrong == []


def tokenizer_files(shared: Path, where: Path, name: str, source: str) -> Path:
    """A folder with tokenizer and template of a model of the shared material."""
    kind, config = TOKENIZED[name]
    folder = shared / "tokenizers" / config
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    where.mkdir()
    if kind == "file":
        document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    else:
        script = shared / "tokenizers" / "rebuild_tokenizer_json.py"
        cached = where.parent / f"{kind}.json"
        if not cached.exists():
            subprocess.run([sys.executable, script, kind, cached], check=True, capture_output=True)
        document = json.loads(cached.read_text(encoding="utf-8"))
        decoder = settings["added_tokens_decoder"]
        document["added_tokens"] = [{"id": int(i), **token} for i, token in decoder.items()]
    (where / "tokenizer.json").write_text(json.dumps(document))
    kept = {key: settings.get(key) for key in ("bos_token", "eos_token", "unk_token", "pad_token")}
    (where / "tokenizer_config.json").write_text(json.dumps(kept))
    (where / "chat_template.jinja").write_text(source, encoding="utf-8")
    return where


def test_ids_equal_unless_a_message_spells_a_control_token(
    shared: Path, transformers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, wrong = [], []
    for name, source in sources(shared).items():
        if name not in TOKENIZED:
            continue
        folder = tokenizer_files(shared, tmp_path / name, name, source)
        tokenizer = Tokenizer.from_folder(folder, SPEC)
        oracle = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            **{k: v for k, v in tokenizer.folder_files.special.items() if v is not None},
        )
        added = tokenizer.folder_files.document["added_tokens"]
        control = {t["id"] for t in added if t["special"] or t["content"] in source}
        counts = Counter[str]()
        for number, row in enumerate(asked(name, tokenizer.chat_variables)):
            found = ours(lambda m, g, v, t=tokenizer: t.apply_chat(m, g, **v), row)
            expected = theirs(oracle, source, row)
            what = _compare(row, found, expected, control, oracle, source)
            counts[what] += 1
            if what == "wrong":
                wrong.append((name, number, row, found, expected))
        shown = [counts[key] for key in ("equal", "safe", "declined", "refused")]
        lines.append(f"{name:36} " + " ".join(f"{n:8}" for n in shown))
        assert counts["equal"] >= 50 and counts["safe"] >= 3, name
    head = f"{'ids':36} " + " ".join(f"{t:>8}" for t in ("equal", "safe", "declined", "refused"))
    with capsys.disabled():
        print("\n".join(["", head, *lines]))
    assert len(lines) == len(TOKENIZED)
    assert wrong == []


def _compare(
    row: Conversation, found: Any, expected: Any, control: set[int], oracle: Any, source: str
) -> str:
    """Judge the ids of one conversation.

    Where no text spells a special token they are equal. Else ours hold exactly the control tokens
    that transformers finds when it is told to read none out of texts, and spell the same; ``safe``
    are those that therefore differ from what it does by default.
    """
    if expected is None or found is None:
        both = found is None and expected is None
        return "refused" if both else "declined" if row.special and found is None else "wrong"
    if not row.special:
        return "equal" if found == expected else "wrong"
    sanitized = theirs(oracle, source, row, sanitize_control_tokens=True)
    if sanitized is None:
        return "wrong"
    marks = [[i for i in ids if i in control] for ids in (found, sanitized)]
    if marks[0] != marks[1] or oracle.decode(found) != oracle.decode(expected):
        return "wrong"
    return "equal" if found == expected else "safe"
