from __future__ import annotations

import itertools
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qbench.errors import RequestError, TemplateError
from qbench.models import template_process
from qbench.models.chat_messages import check_messages
from qbench.models.chat_template import CHATML, Renderer, load_template

Messages = list[dict[str, str]]
HI: Messages = [{"role": "user", "content": "hi"}]


@pytest.fixture
def render() -> Iterator[Callable[..., str]]:
    """Render a template in a child of its own, which ends with the test."""
    children: list[Renderer] = []

    def run(source: str, messages: Messages = HI, generate: bool = True, **names: str) -> str:
        children.append(Renderer(source, names))
        return children[-1].render(messages, generate)

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


@pytest.mark.parity
def test_every_shared_template_renders_as_in_transformers(shared: Path) -> None:
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    names = {"bos_token": "<bos>", "eos_token": "<eos>"}
    compared = 0
    for path in sorted((shared / "tokenizers" / "chat-templates").glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        found = Renderer(source, names)
        for messages in conversations()[:20]:
            more = {} if "date_string" not in source else {"date_string": "26 Jul 2024"}
            try:
                theirs = utils.render_jinja_template(
                    [messages], chat_template=source, add_generation_prompt=True, **names, **more
                )[0][0]
            except Exception:
                with pytest.raises(TemplateError):
                    found.render(messages)
                continue
            assert found.render(messages) == theirs, path.name
            compared += 1
        found.close()
    assert compared > 200


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ().__class__.__base__.__subclasses__() }}",
    "{{ [].__class__ }}",
    "{{ {}.__init__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ cycler.__init__.__globals__.os.popen('CMD').read() }}",
    "{{ joiner.__init__.__globals__.os.popen('CMD').read() }}",
    "{{ lipsum.__globals__['os'].popen('CMD').read() }}",
    "{{ namespace.__init__.__globals__.os.popen('CMD').read() }}",
    "{{ range.__class__.__base__ }}",
    "{{ raise_exception.__globals__ }}",
    "{{ raise_exception.__globals__['sys'].modules['os'].system('CMD') }}",
    "{{ strftime_now.__closure__[0].cell_contents }}",
    "{{ strftime_now.__globals__['sys'].modules['os'].system('CMD') }}",
    "{{ dict.__class__ }}",
    "{{ dict.__globals__ }}",
    "{{ messages.__class__.__init__ }}",
    "{{ messages[0].content.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('__cla' ~ 'ss__') }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{0.__class__}'.format_map({'0': ''}) }}",
    "{{ ['{0.__class__}']|map('format', '')|list }}",
    "{{ [('{0.__class__}'.format)]|map(attribute='__call__')|list }}",
    "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ ['']|groupby('__class__') }}",
    "{{ ['']|selectattr('__class__')|list|length and ''.__class__ }}",
    "{{ ['']|sort(attribute='__class__') }}",
    "{{ messages.append(1) }}",
    "{{ messages[0].update({'a': 1}) }}",
    "{{ messages.clear() }}",
    "{{ messages.sort() }}",
    "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
    "{{ namespace(__init__=1) }}",
    "{{ namespace(_x=1) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends '/etc/passwd' %}",
    "{% from 'os' import system %}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ request.application.__globals__ }}",
    "{{ config.items() }}",
    "{{ environ['HOME'] }}",
    "{{ os.environ }}",
    "{{ open('/etc/passwd').read() }}",
    "{{ __import__('os').system('CMD') }}",
    "{{ eval('1') }}",
    "{{ (messages|map('attr', '__class__')|list) }}",
    "{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ loop.__class__ }}{% for x in [1] %}{{ loop._iterable.__class__.__base__ }}{% endfor %}",
    "{{ (1).__class__.__base__.__subclasses__() }}",
    "{{ 'a'.encode().__class__ }}",
    "{{ messages.__reduce_ex__(2) }}",
    "{{ dict(mro=1).__class__.mro() }}",
    "{{ (x for x in []).gi_frame }}",
    "{{ strftime_now.__code__ }}",
    "{{ range(100001) }}",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ESCAPES)))
def test_escapes_reach_nothing(number: int, render: Callable[..., str], tmp_path: Path) -> None:
    canary = tmp_path / "hit"
    source = ESCAPES[number].replace("CMD", f"touch {canary}")
    os.environ["QBENCH_CANARY"] = "secret-of-the-parent"
    try:
        try:
            text = render(source)
        except TemplateError as exc:
            text = str(exc)
            assert "failed" in text or "compile" in text
        # what is undefined may render as nothing, but never as an object of Python
        for word in ("<class", "<function", "<built-in", "<module", "root:", "secret", "<code"):
            assert word not in text
    finally:
        del os.environ["QBENCH_CANARY"]
    assert not canary.exists()


BOMBS = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
    "{% endfor %}",
    "billion characters": "{{ 'a' * 1000000000 }}",
    "ten billion": "{{ 'a' * 10000000000 }}",
    "doubling": "{% set n = namespace(s='a') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}"
    "{% endfor %}",
    "recursive macro": "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('a') }}",
    "long output": "{% for i in range(9999) %}{{ 'abcdefgh' * 100 }}{% endfor %}",
    "wide number": "{{ (10 ** 99999) * (10 ** 99999) }}",
    "power tower": "{{ 2 ** 99999999999 }}",
    "list product": "{{ [0] * 999999999 }}",
    "padding": "{{ '%0999999999d' % 1 }}",
    "indent": "{{ ('a\n' * 9999)|indent(99999) }}",
    "join": "{{ range(99999)|join('a' * 99999) }}",
    "format width": "{{ '{:>999999999}'.format('a') }}",
    "sort": "{% for i in range(99999) %}{{ range(99999)|sort|first }}{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_work_bombs_end_in_time_and_leave_the_parent_alone(
    name: str, render: Callable[..., str]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with pytest.raises(TemplateError) as caught:
        render(BOMBS[name])
    assert time.perf_counter() - start < template_process.WALL_SECONDS + 5
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_sleeping_child_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Renderer("{{ messages[0].content }}")
    assert found.render(HI) == "hi"
    child = found._child
    assert child is not None
    os.kill(child._process.pid, 19)  # SIGSTOP: alive, but silent
    monkeypatch.setattr(template_process, "WALL_SECONDS", 0.3)
    with pytest.raises(TemplateError, match=r"longer than 0\.3 s"):
        found.render(HI)
    assert child._process.poll() is not None
    monkeypatch.undo()
    assert found.render(HI) == "hi"
    found.close()


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


def test_each_request_has_processor_time_of_its_own() -> None:
    found = Renderer("{% for i in range(messages[0].content|int) %}{% endfor %}ok")
    work = [{"role": "user", "content": "99999"}]
    assert found.render(work) == "ok" and found._child is not None
    pid, used = found._child._process.pid, 0.0
    while used < 1.1:
        assert found.render(work) == "ok"
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert found.render(work) == "ok"
    assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] >= 4
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
]


@pytest.mark.parametrize("case", range(len(WRONG_MESSAGES)))
def test_messages_are_checked(case: int) -> None:
    messages, fragment = WRONG_MESSAGES[case]
    with pytest.raises(RequestError) as caught:
        check_messages(messages)
    assert fragment in str(caught.value)


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


def test_the_child_knows_neither_qbench_nor_the_environment(
    render: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QBENCH_CANARY", "1")
    found = Renderer("{{ messages[0].content }}")
    found.render(HI)
    assert found._child is not None
    pid = found._child._process.pid
    assert b"CANARY" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert "_core" not in Path(f"/proc/{pid}/maps").read_text()
    assert "numpy" not in Path(f"/proc/{pid}/maps").read_text()
    found.close()
    assert not Path(f"/proc/{pid}").exists()
