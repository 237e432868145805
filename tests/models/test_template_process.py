"""What a hostile template can do: escapes, bombs, and what becomes of the process."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qbench.errors import TemplateError
from qbench.models.chat import process as template_process
from qbench.models.chat.template import Renderer

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
    "{{ dict.fromkeys.__func__ }}",
    "{{ dict.fromkeys.__globals__['sys'] }}",
    "{{ dict.__call__.__globals__ }}",
    "{{ (dict|attr('fromkeys'))|attr('__func__') }}",
    "{{ tools[0].f.__class__ }}{{ tools[0].__class__ }}",
    "{{ tools[0].update({'f': 1}) }}{{ tools.pop() }}",
    "{{ tools|map(attribute='__class__')|list }}",
    "{{ cycler.__init__.__globals__ }}{{ joiner.__init__ }}{{ lipsum.__globals__ }}",
    "{{ namespace.__init__.__globals__['jinja2'] }}",
    "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context }}",
    "{% set x = messages|attr('__getattribute__') %}{{ x('__class__') }}",
    "{{ '%s'.__mod__.__class__ }}{{ 'a'.join.__self__ }}",
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
    "replace": "{{ ('a' * 9999)|replace('a', 'a' * 99999) }}",
    "json": "{{ range(99999)|list|tojson(indent=99999) }}",
    "title": "{% for i in range(99999) %}{{ (messages[1].content * 99999)|title|length }}"
    "{% endfor %}",
    "comparison": "{% for i in range(99999) %}"
    "{{ messages[1].content * 999999 == messages[0].content * 999999 }}{% endfor %}",
    "sort": "{% for i in range(99999) %}{{ range(99999)|sort|first }}{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_work_bombs_end_in_time_and_leave_the_parent_alone(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    # behind a condition, so that the bomb goes off in the rendering and not in the compiler
    found = Renderer("{% if messages|length > 1 %}" + BOMBS[name] + "{% endif %}ok")
    try:
        assert found.render(HI) == "ok" and found._child is not None
        assert resource.prlimit(found._child._process.pid, resource.RLIMIT_AS) == (512 << 20,) * 2
        start = time.perf_counter()
        with pytest.raises(TemplateError) as caught:
            found.render(HI * 2)
        assert time.perf_counter() - start < template_process.WALL_SECONDS + 0.5
        assert found.render(HI) == "ok"
    except TemplateError as exc:  # the compiler folds constants, and is bounded in the same way
        assert "compile" in str(exc) or "processor time" in str(exc) or "longer than" in str(exc)
        caught = None
    finally:
        found.close()
    assert caught is None or "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime < 4


def test_bombs_for_the_compiler_end_in_time() -> None:
    for name in ("billion characters", "wide number", "power tower", "list product"):
        found, start = Renderer(BOMBS[name]), time.perf_counter()
        with pytest.raises(TemplateError):
            found.render(HI)
        assert time.perf_counter() - start < template_process.WALL_SECONDS + 2


MANY = 50_000
BROKEN = {
    "open": "{{ messages", "statement": "{% if %}",
    "unknown": "{% frobnicate %}", "end": "{% endif %}",
    "filter": "{{ 1|random }}", "test": "{{ 1 is odder }}", "comment": "{#" * MANY,
    "raw": "{% raw %}" + "{{" * MANY, "brackets": "{{ " + "[" * MANY + "]" * MANY + " }}",
    "parentheses": "{{ " + "(" * MANY + "1" + ")" * MANY + " }}",
    "signs": "{{ " + "-" * MANY + "1 }}",
    "not": "{{ " + "not " * MANY + "1 }}", "sum": "{{ x" + "+x" * MANY + " }}",
    "attributes": "{{ a" + ".b" * MANY + " }}",
    "blocks": "{% if 1 %}" * 9999 + "{% endif %}" * 9999,
    "indentation": "{% if 1 %}" * 150 + "{% endif %}" * 150, "digits": "{{ " + "9" * MANY + " }}",
    "expressions": "{{ " * MANY, "branches": "{% if 0 %}" + "{% elif 0 %}" * MANY + "{% endif %}",
    "two extends": "{% extends 'a' %}{% extends 'b' %}", "surrogate": "{{ '\\ud800' }}",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_template_is_one_clear_error_in_time(name: str) -> None:
    found, start = Renderer(BROKEN[name]), time.perf_counter()
    with pytest.raises(TemplateError) as caught:
        found.render(HI)
    assert time.perf_counter() - start < template_process.WALL_SECONDS + 2
    text = str(caught.value)
    assert "chat template" in text and "\n" not in text and len(text) < 700
    found.close()


def test_a_truncated_template_is_an_error_or_text(shared: Path) -> None:
    path = shared / "tokenizers" / "chat-templates" / "Qwen-Qwen2.5-7B-Instruct.jinja"
    source = path.read_text(encoding="utf-8")
    ends = range(0, len(source), len(source) // 30)
    errors = 0
    for end in ends:
        found = Renderer(source[:end])
        try:
            found.render(HI)
        except TemplateError as exc:
            errors += 1
            assert "does not compile" in str(exc) and "\n" not in str(exc)
        found.close()
    assert errors > len(ends) // 2


def test_two_seconds_of_processor_time() -> None:
    found = Renderer(BOMBS["nested loops"])
    assert found.variables == frozenset()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(TemplateError, match="more than 2 s of processor time"):
        found.render(HI)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert 1.5 < used < 2.5  # start and compiler included, which have seconds of their own


def test_one_process_serves_all_requests_and_is_replaced_when_it_is_killed() -> None:
    found = Renderer("{{ messages[0].content }}")
    pids = set()
    for index in range(50):
        assert found.render([{"role": "user", "content": str(index)}]) == str(index)
        assert found._child is not None
        pids.add(found._child._process.pid)
    assert len(pids) == 1
    for _ in range(3):
        (pid,) = pids
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert found.render(HI) == "hi"  # nobody notices
        assert found._child is not None
        pids = {found._child._process.pid}
        assert pid not in pids
    found.close()


def test_a_process_killed_at_work_is_an_error_and_is_replaced() -> None:
    source = "{% if messages|length > 1 %}{% for i in range(99999) %}{% for j in range(99999) %}"
    found = Renderer(source + "{% endfor %}{% endfor %}{% endif %}ok")
    assert found.render(HI) == "ok" and found._child is not None
    timer = threading.Timer(0.3, os.kill, (found._child._process.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(TemplateError, match="it was killed"):
        found.render(HI * 2)
    assert found.render(HI) == "ok"
    timer.join()
    found.close()


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
