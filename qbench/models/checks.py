"""Whether specification, tokenizer and chat template of a model belong together.

Ids that the model cannot embed are an error, raised where the tokenizer is read. Here is what runs
all the same and may still be wrong; each is one warning. Weights are not looked at.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from qbench.errors import QbenchWarning, TemplateError
from qbench.models.hub import commit_of
from qbench.models.spec import DecoderSpec
from qbench.models.strict_json import read_object
from qbench.models.tokenizer import Tokenizer

PADDING_SHARE = 1 / 16
PADDING_ROWS = 256
"""Rows of an embedding without a token: what models in use have stays below one of these."""

_TUNED_FOR_CHAT = re.compile(r"(?:^|[-_.\d])(chat|instruct|it)(?:$|[-_.\d])", re.IGNORECASE)
_PROBE = [{"role": "user", "content": "Hello"}]


def check_model(spec: DecoderSpec, tokenizer: Tokenizer | None, folder: Path) -> None:
    """Warn about what does not fit together in a model.

    Parameters
    ----------
    spec, tokenizer
        The model, with the chat template in force. Without a tokenizer there is nothing to check.
    folder
        Where it lies; its name and ``config.json`` tell whether it was tuned for chat.

    Warns
    -----
    QbenchWarning
        A template that writes BOS where the tokenizer adds one, a model tuned for chat without a
        template, ChatML taken by rule, a vocabulary that does not match the embedding.
    """
    if tokenizer is None:
        return
    found = [
        *_vocabulary_faults(spec, tokenizer),
        *_template_faults(tokenizer, folder),
        *_bos_faults(tokenizer),
    ]
    for text in found:
        warnings.warn(f"{_label(folder)}: {text}", QbenchWarning, stacklevel=3)


def _label(folder: Path) -> str:
    """Name a model as a user knows it: a folder of the hub's cache by its id."""
    commit = commit_of(folder)
    repository = folder.absolute().parent.parent.name.removeprefix("models--")
    return str(folder) if commit is None else f"{repository.replace('--', '/')}@{commit[:12]}"


def _vocabulary_faults(spec: DecoderSpec, tokenizer: Tokenizer) -> list[str]:
    """Compare the ids of the tokenizer with the rows of the embedding."""
    found = []
    tokens = len(set(tokenizer.folder_files.ids.values()))
    spare = spec.vocab_size - tokens
    if spare > max(PADDING_ROWS, PADDING_SHARE * spec.vocab_size):
        found.append(
            f"the tokenizer has {tokens} tokens, the model rows for {spec.vocab_size}: more than "
            "padding explains; is this the model's own tokenizer?"
        )
    beyond = [t for t, index in tokenizer.folder_files.ids.items() if index >= spec.vocab_size]
    if beyond:
        found.append(
            f"the model has no row for the added tokens {', '.join(map(repr, beyond[:3]))}"
            f"{' …' if len(beyond) > 3 else ''}: a text that spells one cannot be run"
        )
    known = set(tokenizer.folder_files.ids.values())
    named = [("bos_token_id", spec.bos_token_id)]
    named += [("eos_token_id", index) for index in spec.eos_token_ids]
    found += [
        f"the configuration's {name} {index} is no token of the tokenizer; is this the model's own "
        "tokenizer?"
        for name, index in named
        if index is not None and index not in known
    ]
    return found


def _template_faults(tokenizer: Tokenizer, folder: Path) -> list[str]:
    """Tell a missing template, and one that was taken by rule."""
    files = tokenizer.folder_files
    if tokenizer.template_is_by_rule:
        return [
            "the files of a Qwen-1 model hold no chat template; taken is ChatML with the system "
            "message of its own code (the same as chat_template='qwen')"
        ]
    word = _chat_word(folder)
    if tokenizer.chat_template is None and not files.template_names and word:
        return [
            f"its name says {word!r}, but there is no chat template; tasks that chat need one: "
            "chat_template='chatml' (--chat-template on the command line) or a Jinja file"
        ]
    return []


def _chat_word(folder: Path) -> str | None:
    """Return the word of a model's name that says that it was tuned for chat."""
    names = [folder.absolute().name]
    if names[0] and folder.absolute().parent.name == "snapshots":  # the cache of the hub
        names.append(folder.absolute().parent.parent.name)
    path = folder / "config.json"
    stated = read_object(path).get("_name_or_path") if path.exists() else None
    if isinstance(stated, str):
        names.append(stated.rsplit("/", 1)[-1])
    for name in names:
        if match := _TUNED_FOR_CHAT.search(name):
            return match[1]
    return None


def _bos_faults(tokenizer: Tokenizer) -> list[str]:
    """Render a conversation where the tokenizer adds BOS, and see whether it begins with BOS."""
    source, bos_id = tokenizer.chat_template, tokenizer.bos_id
    if source is None or bos_id is None:
        return []
    text = tokenizer.decode([bos_id], skip_special=False)
    if tokenizer.encode("a")[:1] != [bos_id] or not ("bos_token" in source or text in source):
        return []
    try:
        rendered = tokenizer.render_chat(_PROBE)
    except TemplateError:
        return []  # told when somebody chats
    if not rendered.startswith(text):
        return []
    return [
        f"the chat template writes {text!r} and the tokenizer adds one as well; qbench keeps one, "
        "a program that encodes the rendered text as it is gives the model two"
    ]
