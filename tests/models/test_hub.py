from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from qbench.errors import CheckpointError, RequestError
from qbench.mini import family
from qbench.models.hub import resolve


class Hub:
    """Records what is asked of the hub instead of asking it."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.calls = answer, []

    def __call__(self, hub_id: str, **options: Any) -> str:
        self.calls.append((hub_id, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    found = Hub(tmp_path / "cached")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", found)
    monkeypatch.chdir(tmp_path)
    return found


def test_a_local_path_wins_over_a_hub_id(fake: Hub, tmp_path: Path) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert resolve("org/name") == Path("org/name") and resolve(tmp_path) == tmp_path
    assert fake.calls == []


def test_an_embedded_model_is_found_by_its_name_unless_a_path_has_it(
    fake: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "FOLDER", tmp_path / "models")
    with pytest.raises(RequestError, match=r"no embedded model \(none\)"):
        resolve("mini-small")
    (tmp_path / "models" / "mini-small").mkdir(parents=True)
    assert resolve("mini-small") == tmp_path / "models" / "mini-small"
    with pytest.raises(RequestError, match=r"no embedded model \(mini-small\)"):
        resolve("mini-large")
    (tmp_path / "mini-small").mkdir()
    assert resolve("mini-small") == Path("mini-small")
    assert fake.calls == []


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_means_cache_only(value: str, fake: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    fake.answer = LocalEntryNotFoundError("no")
    with pytest.raises(CheckpointError) as caught:
        resolve("org/name")
    assert fake.calls[0][1]["local_files_only"] is True
    assert "HF_HUB_OFFLINE is set" in str(caught.value)
    assert f"looked for {Path('org/name').absolute()}" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["name", "a/b/c", "/absent/folder", "./absent", "../org/name", "org/..", "org/na me", "org/",
     "", "org/name\n", "-x/y", "a\0b/c", "x" * 5000, "https://example.org/x", "~nobody-here/x"],
)  # fmt: skip
def test_neither_path_nor_hub_id(name: str, fake: Hub) -> None:
    with pytest.raises(RequestError, match=r"no model at|is no path") as caught:
        resolve(name)
    assert fake.calls == [] and caught.value.exit_code == 2
