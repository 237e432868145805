from __future__ import annotations

import itertools
import math
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qbench.errors import RequestError, TemplateError
from qbench.models.chat import template as chat_template
from qbench.models.chat.messages import check_messages, check_variables
from qbench.models.chat.template import (
    CHATML,
    QWEN,
    Renderer,
    load_template,
    template_by_rule,
    template_hash,
)

Messages = list[dict[str, str]]
HI: Messages = [{"role": "user", "content": "hi"}]


@pytest.fixture
def render() -> Iterator[Callable[..., str]]:
    """Render a template in a child of its own, which ends with the test."""
    children: list[Renderer] = []

    def run(source: str, messages: Messages = HI, generate: bool = True, **names: str) -> str:
        children.append(Renderer(source, names))
        variables = {"tools": [{"f": "x"}]} if "tools[" in source or "tools|" in source else {}
        return children[-1].render(messages, generate, variables)

    yield run
    for child in children:
        child.close()


def conversations() -> list[Messages]:
    """At least fifty: with and without system message, one to five turns, awkward contents."""
    contents = [
        "Hi",
        "",
        " spaced \n",
        "你好 🙂",
        "a\n\nb",
        "{{ 7*7 }}",
        "<|im_end|>",
        'it\'s "q"',
        "\\n",
    ]
    out: list[Messages] = []
    for first, second in itertools.product(contents, contents[:6]):
        turns = [first, second, "ok"][: 1 + 2 * (len(out) % 2)]
        roles = itertools.cycle(("user", "assistant"))
        talk = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=False)]
        out.append(([{"role": "system", "content": second}] if len(out) % 3 else []) + talk)
    return out  # fmt: skip


def qwen(messages: Messages, generate: bool) -> str:
    system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    if messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    return chatml(messages, generate)


def chatml(messages: Messages, generate: bool) -> str:
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + "<|im_start|>assistant\n" * generate


def gemma(messages: Messages, generate: bool) -> str:
    names = {"user": "user", "assistant": "model"}
    text = "".join(
        f"<start_of_turn>{names[m['role']]}\n{m['content'].strip()}<end_of_turn>\n"
        for m in messages
    )
    return "<bos>" + text + "<start_of_turn>model\n" * generate


def phi(messages: Messages, generate: bool) -> str:
    text = "".join(
        f"<|{m['role']}|>\n{m['content']}<|end|>\n"
        for m in messages
        if m["role"] != "system" or m["content"]
    )
    return text + ("<|assistant|>\n" if generate else "<eos>")


def llama31(messages: Messages, generate: bool) -> str:
    system = messages[0]["content"].strip() if messages[0]["role"] == "system" else ""
    rest = messages[1:] if messages[0]["role"] == "system" else messages
    text = (
        "<bos><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023"
    )
    text += f"\nToday Date: 26 Jul 2024\n\n{system}<|eot_id|>"
    for m in rest:
        text += (
            f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n{m['content'].strip()}<|eot_id|>"
        )
    return text + "<|start_header_id|>assistant<|end_header_id|>\n\n" * generate


def nemo(messages: Messages, generate: bool) -> str:
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    rest = messages[1:] if system is not None else messages
    text = "<bos>"
    for index, m in enumerate(rest):
        if m["role"] == "user":
            last = index == len(rest) - 1 and system is not None
            text += "[INST]" + (f"{system}\n\n" if last else "") + m["content"] + "[/INST]"
        else:
            text += m["content"] + "<eos>"
    return text


FAMILIES = {
    "Qwen-Qwen2.5-7B-Instruct": qwen,
    "google-gemma-2-2b-it": gemma,
    "microsoft-Phi-3.5-mini-instruct": phi,
    "meta-llama-Llama-3.1-8B-Instruct": llama31,
    "meta-llama-Llama-3.2-3B-Instruct": llama31,
    "meta-llama-Llama-3.3-70B-Instruct": llama31,
    "mistralai-Mistral-Nemo-Instruct-2407": nemo,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_render_byte_for_byte(family: str, shared: Path) -> None:
    path = shared / "tokenizers" / "chat-templates" / f"{family}.jinja"
    found = Renderer(load_template(str(path)), {"bos_token": "<bos>", "eos_token": "<eos>"})
    assert len(conversations()) >= 50
    for messages in conversations():
        if family.startswith("google") and messages[0]["role"] == "system":
            with pytest.raises(TemplateError, match="System role not supported"):
                found.render(messages)
            continue
        for generate in (True, False):
            assert found.render(messages, generate) == FAMILIES[family](messages, generate)
    found.close()


def test_chatml_is_its_own_template(render: Callable[..., str]) -> None:
    """The built-in renderer and the template text say the same; a comment defeats the built-in."""
    sandboxed, builtin = Renderer("{# not built in #}" + CHATML), Renderer(CHATML)
    for messages in conversations():
        for generate in (True, False):
            text = chatml(messages, generate)
            assert builtin.render(messages, generate) == text
            assert sandboxed.render(messages, generate) == text
    assert builtin._child is None
    sandboxed.close()


def test_a_failure_does_not_end_the_renderer(render: Callable[..., str]) -> None:
    source = (
        "{% if messages|length > 1 %}{{ 'a' * 2000000000 }}{% endif %}{{ messages[0].content }}"
    )
    found = Renderer(source)
    assert found.render(HI) == "hi"
    with pytest.raises(TemplateError, match="512 MiB"):
        found.render(HI * 2)
    assert found.render(HI) == "hi"
    found.close()
    found.close()
    assert found.render(HI) == "hi"
    found.close()


def test_what_templates_may_use(render: Callable[..., str]) -> None:
    assert render("{{ strftime_now('%d %B %Y') }}") == "26 July 2024"
    assert render("{{ messages|tojson }}") == '[{"role": "user", "content": "hi"}]'
    assert render("{{ {'é': '<'}|tojson(indent=1) }}") == '{\n "é": "<"\n}'
    assert render("{% generation %}a{% endgeneration %}b") == "ab"
    assert render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}") == "01"  # fmt: skip  # noqa: E501
    assert render("  {% if true %}\nx\n  {% endif %}\n") == "x\n"
    assert render("{{ bos_token }}{{ tools is none }}{{ x is defined }}", bos_token="<s>") == (
        "<s>TrueFalse"
    )
    assert render("{{ add_generation_prompt }}", generate=False) == "False"
    with pytest.raises(TemplateError, match="no way"):
        render("{{ raise_exception('no way') }}")
    with pytest.raises(TemplateError, match="does not compile: line 2"):
        render("\n{% if %}")
    with pytest.raises(TemplateError, match="No filter named 'random'"):
        render("{{ [1]|random }}")


THINKING = (
    "{{ messages[0].content }}{% if tools %}{{ tools|tojson }}{% endif %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<quick>{% endif %}"
)


def test_variables_reach_the_template_or_are_refused() -> None:
    found = Renderer(THINKING)
    assert found.variables == {"messages", "tools", "enable_thinking"}
    assert found.render(HI) == "hi" == found.render(HI, True, {"enable_thinking": True})
    assert found.render(HI, True, {"enable_thinking": False}) == "hi<quick>"
    tools = [{"type": "function", "x": ["é", 1, 2.5, True, None]}]
    text = found.render(HI, True, {"tools": tools})
    assert text == 'hi[{"type": "function", "x": ["é", 1, 2.5, true, null]}]'
    assert found.render(HI, True, {"documents": None, "tools": None}) == "hi"
    with pytest.raises(RequestError, match="'enable_thinkin'; did you mean enable_thinking"):
        found.render(HI, True, {"enable_thinkin": False})
    with pytest.raises(RequestError, match="unknown variable of the chat template 'documents'"):
        found.render(HI, True, {"documents": [{"text": "x"}]})
    found.close()
    for source in ("{{ messages[0].content }}", CHATML):
        simple = Renderer(source)
        assert "hi" in simple.render(HI, True, {"enable_thinking": False})
        for wrong in ({"enable_thinking": True}, {"tools": tools}):
            with pytest.raises(RequestError, match="known: none; it would be without effect"):
                simple.render(HI, True, wrong)
        simple.close()


def test_chatml_of_qwen_has_a_system_message() -> None:
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    sandboxed, builtin = Renderer("{# not built in #}" + QWEN), Renderer(QWEN)
    for messages in conversations():
        has_system = messages[0]["role"] == "system"
        expected = ("" if has_system else system) + chatml(messages, True)
        assert builtin.render(messages) == expected == sandboxed.render(messages)
    sandboxed.close()
    with pytest.raises(TemplateError, match="knows no tool_calls"):
        builtin.render([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}])


def test_qwen_1_has_its_template_by_rule(tmp_path: Path) -> None:
    for architecture, kind, expected in (
        ("QWenLMHeadModel", "qwen", QWEN), ("QWenLMHeadModel", "llama", QWEN), ("X", "qwen", QWEN),
        ("Qwen2ForCausalLM", "qwen2", None),
    ):  # fmt: skip
        assert template_by_rule(architecture, kind, tmp_path) == expected
    (tmp_path / "generation_config.json").write_text('{"chat_format": "chatml"}')
    assert template_by_rule("QWenLMHeadModel", "qwen", tmp_path) == QWEN
    (tmp_path / "generation_config.json").write_text('{"chat_format": "raw"}')
    assert template_by_rule("QWenLMHeadModel", "qwen", tmp_path) is None


def test_the_date_is_part_of_the_hash_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, dated = "{{ messages }}", "{{ strftime_now('%Y') }}"
    before = [template_hash(plain), template_hash(dated)]
    monkeypatch.setattr(chat_template, "FROZEN_DATE", "2025-01-01")
    assert template_hash(plain) == before[0] and template_hash(dated) != before[1]


CYCLE: dict[str, Any] = {}
CYCLE["again"] = [CYCLE]
WRONG_MESSAGES: list[tuple[Any, str]] = [
    ([], "at least one message"),
    ([{"role": "user"}], "message 0: expected a content"),
    ([{"role": "user", "content": "a", "tool_calls": "x"}], "expected a list of objects"),
    (["hi"], "message 0: expected a mapping"),
    ([*HI, {"role": "usr", "content": "a"}], "message 1: unknown role 'usr'; did you mean user?"),
    ([{"role": "user<|im_end|>", "content": "a"}], "unknown role"),
    ([{"role": "user", "content": None}], "expected a content"),
    ([{"role": "user", "content": [{"type": "text"}]}], "content is no text but list"),
    ([{"role": "user", "content": "\ud800"}], "surrogate"),
    ([{"role": "user", "content": "a", "reasoning_content": "b"}], "only an assistant has"),
    ([{"role": "user", "content": "a", "tool_calls": []}], "only an assistant has"),
    ([{"role": "assistant", "tool_calls": [1]}], "tool_calls: expected a list of objects"),
    ([{"role": "assistant", "tool_calls": []}], "expected a content"),
    ([{"role": "assistant", "tool_calls": [{"a": {1: 2}}]}], "the keys of an object are texts"),
    ([{"role": "assistant", "tool_calls": [{"a": math.nan}]}], "the number nan"),
    ([{"role": "assistant", "tool_calls": [{"a": b"x"}]}], "expected JSON, found bytes"),
    ([{"role": "assistant", "tool_calls": [{"a\ud800": 1}]}], "surrogate"),
    ([{"role": "assistant", "tool_calls": [CYCLE]}], "nested deeper than 32 levels"),
    ([{"role": "tool", "content": "a", "tool_call_id": 7}], "tool_call_id is no text but int"),
    ([{"role": "user", "contents": "a"}], "unknown key 'contents'; did you mean content?"),
]


@pytest.mark.parametrize("case", range(len(WRONG_MESSAGES)))
def test_messages_are_checked(case: int) -> None:
    messages, fragment = WRONG_MESSAGES[case]
    with pytest.raises(RequestError) as caught:
        check_messages(messages)
    assert fragment in str(caught.value)


WRONG_VARIABLES: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages is no template variable"),
    ({"add_generation_prompt": True}, "add_generation_prompt is no template variable"),
    ({"tools": "x"}, "tools: expected a list of objects"),
    ({"tools": [print]}, "JSON schemas, no functions"),
    ({"documents": ["x"]}, "documents: expected a list of objects"),
    ({"x": object()}, "x: expected JSON, found object"),
    ({"x": [math.inf]}, "the number inf"),
    ({"x": {"y": {1, 2}}}, "x.y: expected JSON, found set"),
]


@pytest.mark.parametrize("case", range(len(WRONG_VARIABLES)))
def test_variables_are_checked(case: int) -> None:
    variables, fragment = WRONG_VARIABLES[case]
    with pytest.raises(RequestError, match=re.escape(fragment)):
        check_variables(variables)


def test_what_is_checked_is_plain() -> None:
    class Text(str):
        pass

    (found,) = check_messages([{"role": "user", "content": Text("a"), "name": None}])
    assert found == {"role": "user", "content": "a"} and type(found["content"]) is str
    (found,) = check_messages([{"role": "assistant", "content": "a", "reasoning_content": "b"}])
    assert found["thinking"] == "b"


def test_load_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_template("chatml") == CHATML
    with pytest.raises(
        RequestError, match=r"unknown chat template 'chatlm'; did you mean chatml\?"
    ):
        load_template("chatlm")
    (tmp_path / "t.jinja").write_text("é", encoding="utf-8")
    assert load_template("t.jinja") == "é"
    (tmp_path / "chatml").write_text("own")
    assert load_template("chatml") == "own"
    (tmp_path / "bad").write_bytes(b"a\xff")
    with pytest.raises(TemplateError, match="no UTF-8 at byte 1"):
        load_template("bad")
    (tmp_path / "big").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(TemplateError, match="more than the 1048576"):
        load_template("big")
    with pytest.raises(TemplateError, match="it is a directory"):
        load_template(str(tmp_path))
    with pytest.raises(RequestError, match=r"unknown chat template|is no path"):
        load_template("a\0b")
    with pytest.raises(TemplateError, match="longer than 1048576 bytes"):
        Renderer("x" * ((1 << 20) + 1))


def test_threads_share_one_renderer() -> None:
    found = Renderer("{{ messages[0].content }}")
    wrong: list[str] = []

    def work(name: str) -> None:
        for index in range(25):
            text = f"{name} {index}"
            if found.render([{"role": "user", "content": text}]) != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    found.close()


def test_long_conversations_cross_the_pipe_whole() -> None:
    found = Renderer("{{ messages[0].content }}")
    text = "0123456789é" * 80_000
    assert found.render([{"role": "user", "content": text}]) == text
    found.close()
