"""A model's tokenizer: text to ids and back, with the model's own rule for the first token.

A thin layer over the ``tokenizers`` package. It adds what evaluation needs: one rule for BOS, pairs
of context and continuation as lm-eval splits them, conversations in which no message can forge a
control token, and a hash that names all of it. It must not know about weights or tasks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qbench.errors import CheckpointError, RequestError, TemplateError
from qbench.models.chat.encoding import ChatEncoder, control_tokens
from qbench.models.chat.messages import Message
from qbench.models.chat.pieces import split_rendering
from qbench.models.chat.template import BUILTIN, END_OF_TURN, Renderer, template_by_rule
from qbench.models.faults import tokenizer_faults
from qbench.models.spec import DecoderSpec
from qbench.models.vocabulary.files import TokenizerFiles, read_tokenizer_files, with_template_hash

PAIR_POLICIES = ("whole", "separate")


class Tokenizer:
    """The tokenizer of one model. Make it with `Tokenizer.from_folder`."""

    def __init__(self, files: TokenizerFiles, spec: DecoderSpec) -> None:
        import tokenizers

        with tokenizer_faults(files.where):
            self._backend = tokenizers.Tokenizer.from_buffer(files.raw)
            # A stored truncation or padding is a leftover of somebody's training run.
            self._backend.no_truncation()
            self._backend.no_padding()
            self._post_adds = self._backend.num_special_tokens_to_add(False) > 0
        self._files = files
        self._check_added()
        self._last_context: tuple[str | None, tuple[int, ...]] = (None, ())
        self.vocab_size = max(files.ids.values(), default=-1) + 1
        self.unk_id = files.unk_id
        self.bos_id = self._named_id("bos_token", spec.bos_token_id)
        first_eos = spec.eos_token_ids[0] if spec.eos_token_ids else None
        eos_id = self._named_id("eos_token", first_eos)
        self._own_eos = frozenset(spec.eos_token_ids) | ({eos_id} if eos_id is not None else set())
        self._prefix_id = self.bos_id if self.bos_id is not None else eos_id
        self._prefix_text = self._text_of(self._prefix_id)
        self.template_is_by_rule = False  # else it stands in a file, or somebody gave it
        self._use_template(files.template)

    @classmethod
    def from_folder(cls, folder: Path | str, spec: DecoderSpec) -> Tokenizer:
        """Read the tokenizer of a model folder.

        Parameters
        ----------
        folder
            Holds a tokenizer in one of the forms of `read_tokenizer_files` and usually
            ``tokenizer_config.json``.
        spec
            The model, which the tokenizer must fit.

        Raises
        ------
        CheckpointError
            If a file is missing, broken, or does not fit the model.
        """
        folder = Path(folder)
        found = cls(read_tokenizer_files(folder, spec.vocab_size, spec.model_type), spec)
        if found.chat_template is None and not found.folder_files.template_names:
            found._use_template(template_by_rule(spec.architecture, spec.model_type, folder))
            found.template_is_by_rule = found.chat_template is not None
        return found

    def _check_added(self) -> None:
        """Require the ids of the file: the backend numbers added tokens by itself, in order."""
        for token in self._files.document.get("added_tokens") or ():
            found = self._backend.token_to_id(token["content"])
            if found != token["id"]:
                name = f"{self._files.where}: the added token {token['content']!r:.60}"
                raise CheckpointError(
                    f"{name} should have the id {token['id']}, but behind this vocabulary it has "
                    f"{found}: ids must follow each other without holes"
                )

    def _named_id(self, name: str, default: int | None) -> int | None:
        """Id of a named special token; what the configuration leaves open is the model's."""
        if name not in self._files.special:
            return default
        text = self._files.special[name]
        return None if text is None else self._files.ids[text]

    def _text_of(self, index: int | None) -> str | None:
        """Return a token's text, or None."""
        return None if index is None else self._backend.id_to_token(index)

    @property
    def folder_files(self) -> TokenizerFiles:
        """The checked files behind this tokenizer."""
        return self._files

    @property
    def prefix_id(self) -> int:
        """The id that stands for an empty context: BOS, else EOS (lm-eval's rule).

        Raises
        ------
        RequestError
            If the model has neither.
        """
        if self._prefix_id is None:
            raise RequestError("the model has neither BOS nor EOS, an empty context has no ids")
        return self._prefix_id

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        """Encode a text; special tokens written in it are recognized, as in transformers.

        Parameters
        ----------
        text
            Any valid Unicode.
        bos
            None: the model's own rule, which is what the post-processor of ``tokenizer.json`` adds,
            or, if that adds nothing, BOS if ``add_bos_token`` says so; for other forms of
            tokenizers ``add_bos_token``, or where it is left open the rule of their family. False:
            nothing is added. True: exactly one BOS in front. A text that already starts with BOS
            gets no second one (lm-eval's rule).

        Raises
        ------
        RequestError
            If the text is no valid Unicode, or ``bos=True`` and the model has no BOS.
        """
        doubled = self._prefix_text is not None and text.startswith(self._prefix_text)
        if bos is None and self._post_adds and not doubled:
            return self._encode(text, True)
        ids = self._encode(text, False)
        wanted = self._files.add_bos and not self._post_adds and not doubled if bos is None else bos
        if not wanted or (self.bos_id is None and bos is None):
            return ids
        if self.bos_id is None:
            raise RequestError("the model has no BOS token")
        return ids if ids[:1] == [self.bos_id] else [self.bos_id, *ids]

    def encode_marked(self, text: str) -> list[int]:
        """Encode a text with special and added tokens recognized and nothing added."""
        return self._encode(text, False)

    def _encode(self, text: str, add_special: bool) -> list[int]:
        with tokenizer_faults("the tokenizer"):
            ids: list[int] = self._backend.encode(text, add_special_tokens=add_special).ids
        return ids

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Turn ids into text; ids that the tokenizer does not know are left out."""
        with tokenizer_faults("the tokenizer"):
            text: str = self._backend.decode(
                [int(index) for index in ids], skip_special_tokens=skip_special
            )
        return text

    def count_unk(self, ids: Iterable[int]) -> int:
        """How many of the ids are the unknown token."""
        return 0 if self.unk_id is None else sum(index == self.unk_id for index in ids)

    def encode_pair(
        self, context: str, continuation: str, policy: str = "whole"
    ) -> tuple[list[int], list[int]]:
        """Encode a context and what follows it.

        Parameters
        ----------
        context, continuation
            Trailing white space of the context moves to the continuation, since most tokenizers
            glue a space to the word behind it.
        policy
            ``"whole"``: the string is encoded as one, and the continuation is what follows the
            first ``len(encode(context))`` ids (lm-eval 0.4.13, ``_encode_pair``). ``"separate"``:
            each part on its own.

        Returns
        -------
        tuple of two lists
            Ids of the context, never empty, and of the continuation, which can be empty if a token
            spans the border.

        Raises
        ------
        RequestError
            For an unknown policy, or an empty context where the model has neither BOS nor EOS.
        """
        if policy not in PAIR_POLICIES:
            raise RequestError(f"unknown pair policy {policy!r}; known: {', '.join(PAIR_POLICIES)}")
        if not context:
            ids = self.encode(continuation, bos=False)
            if ids[:1] == [self.prefix_id]:
                return ids[:1], ids[1:]
            return [self.prefix_id], ids
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        context_ids = self._encode_context(stripped)
        if policy == "whole":
            following = self.encode(stripped + continuation)[len(context_ids) :]
        else:
            following = self.encode(continuation, bos=False)
        return context_ids or [self.prefix_id], following

    def _encode_context(self, context: str) -> list[int]:
        """Encode a context, the same one as before from memory: choices come one after another."""
        last, ids = self._last_context
        if context != last:
            ids = tuple(self.encode(context))
            self._last_context = (context, ids)
        return list(ids)

    @property
    def chat_template(self) -> str | None:
        """Text of the chat template in force, or None."""
        return self._template

    def with_template(self, source: str) -> Tokenizer:
        """Return a copy with another chat template.

        Parameters
        ----------
        source
            The template's text, or the name of a built-in one (``chatml``, ``qwen``). For files
            see `qbench.models.chat.template.load_template`.
        """
        other = copy.copy(self)
        other.template_is_by_rule = False
        other._use_template(BUILTIN.get(source, source))
        return other

    def _use_template(self, template: str | None) -> None:
        """Put a template in force; renderer and encoder are made when first used."""
        self._template = template
        own = template is not None and template == self._files.template
        base = self._files.sha256
        self.sha256 = base if own or template is None else with_template_hash(base, template)
        self._renderer: Renderer | None = None
        self._chat_encoder: ChatEncoder | None = None
        self.eos_ids = self._own_eos
        if template in END_OF_TURN and END_OF_TURN[template] in self._files.ids:
            # A model that was not tuned on ChatML has another EOS, and would talk on.
            self.eos_ids |= {self._files.ids[END_OF_TURN[template]]}
        if template is not None:
            named = {key: text for key, text in self._files.special.items() if text is not None}
            self._renderer = Renderer(template, named)

    def _require_renderer(self) -> Renderer:
        if self._renderer is None:
            names = self._files.template_names
            why = f"; it has several: {', '.join(names)}" if names else ""
            raise TemplateError(
                f"the model has no default chat template{why}; give one, for example "
                "--chat-template chatml"
            )
        return self._renderer

    @property
    def chat_variables(self) -> frozenset[str]:
        """Names of the variables that the chat template reads, such as ``enable_thinking``.

        Raises
        ------
        TemplateError
            If there is no template, or it does not compile.
        """
        return self._require_renderer().variables

    def render_chat(
        self, messages: Sequence[Message], add_generation_prompt: bool = True, **variables: Any
    ) -> str:
        """Render a conversation as text.

        Parameters
        ----------
        messages, add_generation_prompt, **variables
            See `apply_chat`.

        Raises
        ------
        RequestError
            If a message or variable has the wrong form, or the template has no such variable.
        TemplateError
            If there is no template, or it fails or refuses the conversation.
        """
        return self._require_renderer().render(messages, add_generation_prompt, variables)

    def apply_chat(
        self, messages: Sequence[Message], add_generation_prompt: bool = True, **variables: Any
    ) -> list[int]:
        """Encode a conversation.

        Parameters
        ----------
        messages
            Mappings with ``role`` and ``content``, where a template supports them also
            ``reasoning_content``, ``tool_calls``, ``tool_call_id`` and ``name``.
        add_generation_prompt
            Whether the assistant's turn is opened at the end.
        **variables
            Of the template: ``tools`` and ``documents`` (lists of objects), ``enable_thinking`` and
            whatever else it reads.

        Returns
        -------
        list of int
            As transformers' ``apply_chat_template`` gives them: nothing is added in front, since a
            template writes BOS itself. Text inside a message, tool or document never becomes a
            control token.

        Raises
        ------
        RequestError
            If a message or variable has the wrong form, or the template has no such variable.
        TemplateError
            If there is no template, it fails, or a message cannot be told from its marks.
        """
        renderer = self._require_renderer()
        if self._chat_encoder is None:
            control = control_tokens(self._files.document, renderer.source)
            self._chat_encoder = ChatEncoder(self._files.document, control, self.unk_id)
        encoder = self._chat_encoder
        pieces = split_rendering(
            lambda given, more: renderer.render(given, add_generation_prompt, more),
            messages,
            encoder.borders,
            variables,
        )
        return encoder.encode(pieces)
