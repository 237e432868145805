from __future__ import annotations

import pytest

from qbench.errors import RequestError
from qbench.registry import Registry, near_names, unknown_name


def test_register_and_get() -> None:
    tasks: Registry[int] = Registry("task")
    assert tasks.register("mmlu", 3) == 3
    tasks.register("snli", 4)
    assert tasks.get("mmlu") == 3
    assert tasks.names == ("mmlu", "snli") == tuple(tasks)
    assert "snli" in tasks and "x" not in tasks and len(tasks) == 2


@pytest.mark.parametrize(
    ("asked", "fragment"),
    [
        ("mmul", "unknown task 'mmul'; did you mean mmlu?"),
        ("MMLU", "did you mean mmlu?"),
        ("zzzz", "unknown task 'zzzz'; known: mmlu, snli"),
    ],
)
def test_unknown_name_suggests(asked: str, fragment: str) -> None:
    tasks: Registry[int] = Registry("task")
    tasks.register("snli", 1)
    tasks.register("mmlu", 2)
    with pytest.raises(RequestError) as caught:
        tasks.get(asked)
    assert fragment in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_name_is_registered_once_and_not_after_freezing() -> None:
    tasks: Registry[int] = Registry("task")
    tasks.register("a", 1)
    with pytest.raises(RequestError, match="already registered"):
        tasks.register("a", 2)
    assert tasks.get("a") == 1
    with pytest.raises(RequestError, match="needs a name"):
        tasks.register("", 2)
    tasks.freeze()
    with pytest.raises(RequestError, match="closed"):
        tasks.register("b", 2)


def test_near_names_are_ordered_and_few() -> None:
    assert near_names("rtm", ["rtn", "awq", "gptq"]) == ("rtn",)
    assert near_names("x", []) == ()
    assert unknown_name("x", "y", []) == "unknown x 'y'; known: none"
