from __future__ import annotations

import dataclasses

import pytest

from qbench.tasks import (
    ChatRequest,
    ChoiceRequest,
    PreparedItem,
    Prompt,
    WindowRequest,
    get_task,
    parse_task,
)
from qbench.tasks.base import assemble


def test_shots_are_left_out_from_the_end() -> None:
    prompt = Prompt("H|", ("a|", "b|"), "T")
    assert [prompt.text(n) for n in (0, 1, 2)] == ["H|T", "H|a|T", "H|a|b|T"]
    assert prompt.text() == prompt.text(2)


def test_what_is_hashed_tells_requests_apart() -> None:
    chat = ChatRequest((("user", "x"),), 5, ("y",))
    different = [
        ChoiceRequest(Prompt("a", (), "b"), (" A", " B")),
        ChoiceRequest(Prompt("a", (), "b"), (" A", " C")),
        ChoiceRequest(Prompt("a", (), "b"), (" A B",)),
        ChoiceRequest(Prompt("a", (), "c"), (" A", " B")),
        ChoiceRequest(Prompt("a", (), "b"), (" A", " B"), policy="separate"),
        chat,
        ChatRequest((("system", "x"),), 5, ("y",)),
        ChatRequest((("user", "x"),), 6, ("y",)),
        ChatRequest((("user", "x"),), 5),
        ChatRequest((("user", "x"),), 5, ("y",), temperature=1.0),
    ]
    assert len({request.canonical() for request in different}) == len(different)
    split = ChoiceRequest(Prompt("", ("a",), "b"), (" A", " B"))
    assert split.canonical() == different[0].canonical()


def test_rendering() -> None:
    choice = ChoiceRequest(Prompt("H ", ("s ",), "T"), (" é", "\n"))
    assert choice.render() == ["H s T", '" é"', '"\\n"']
    chat = ChatRequest((("system", "s"), ("user", "u")), 9, temperature=1.0, top_p=0.5, top_k=3)
    assert chat.render() == [
        "<system>\ns",
        "<user>\nu",
        "<assistant> up to 9 tokens, temperature 1, top-p 0.5, top-k 3",
    ]
    window = WindowRequest((1,), (2, 3), 1, 4)
    assert window.render() == ["1", "2 3"]
    assert window.render(lambda ids: f"<{sum(ids)}>") == ["<1>", "<5>"]


@pytest.mark.parametrize("policy", ["whole", "separate"])
def test_a_preset_prints_the_policy_of_its_requests(policy: str) -> None:
    spec = parse_task("snli:words")
    preset = dataclasses.replace(get_task("snli").presets["words"], boundary=policy)
    request = ChoiceRequest(Prompt("a", (), "b"), (" A", " B"), policy="separate")
    items = [PreparedItem("i", "c", "s", request, 0)]

    def made() -> str:
        return assemble(spec, preset, items, data_sha256="", limit=None, seed=0).preset.boundary

    if policy == "separate":
        assert made() == "separate"
    else:
        with pytest.raises(TypeError, match="policy 'separate', not 'whole'"):
            made()
