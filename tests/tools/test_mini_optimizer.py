"""The optimizer of the trainer: shared out among processes it does what one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `parity`")

from mini_model import SIZES, MiniLlama  # noqa: E402
from mini_optimizer import Optimizer  # noqa: E402
from torch import distributed  # noqa: E402

pytestmark = pytest.mark.parity
TOOLS = Path(__file__).parents[2] / "tools"
N_STEPS, RATE = 3, 1e-2


def stepped(rank: int, workers: int, parts: int) -> tuple[Any, Any]:
    """Take some steps with gradients of which every process has ``parts`` of a few."""
    torch.manual_seed(1)
    model = MiniLlama(SIZES["mini-small"])
    optimizer = Optimizer(model, rank, workers)
    for step in range(N_STEPS):
        for number, parameter in enumerate(model.parameters()):
            draws = torch.Generator().manual_seed(1000 * step + number)
            gradients = torch.randn((2, *parameter.shape), generator=draws)
            parameter.grad = gradients[rank * parts : (rank + 1) * parts].mean(0)
        optimizer.step(RATE)
    return model.state_dict(), optimizer.state()


def one_of_two(rank: int, folder: Path) -> None:
    """Be one of two processes, and write down what comes out."""
    torch.set_num_threads(1)
    place = (folder / "meeting").as_uri()
    distributed.init_process_group("gloo", place, rank=rank, world_size=2)
    torch.save(stepped(rank, 2, 1), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    # This file is what runs: a spawned process cannot import it by the name that pytest gives it.
    command = [sys.executable, __file__, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(TOOLS)}
    processes = [subprocess.Popen([*command, str(rank)], env=environment) for rank in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    weights, state = stepped(0, 1, 2)
    assert len(state["momenta"]) == 4 * SIZES["mini-small"].layers
    for name, weight in weights.items():
        assert torch.equal(found[0][0][name], found[1][0][name]), name
        assert torch.allclose(found[0][0][name], weight, rtol=0, atol=1e-3 * RATE), name
    assert list(found[0][1]["momenta"]) == [
        *list(state["momenta"])[0::2],
        *list(state["momenta"])[1::2],
    ]
    for name, momentum in found[0][1]["momenta"].items():
        assert torch.allclose(momentum, state["momenta"][name], rtol=0, atol=1e-6), name


def test_matrices_move_by_orthogonal_steps_of_the_size_of_the_others() -> None:
    torch.manual_seed(1)
    model = MiniLlama(SIZES["mini-small"])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = Optimizer(model, 0, 1)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step(RATE)
    for name, parameter in model.named_parameters():
        moved = (parameter.detach() - before[name]) / RATE
        if name not in optimizer.matrices:
            assert abs(float(moved.abs().median()) - 1) < 0.01, name  # Adam's first step
            continue
        values = torch.linalg.svdvals(moved + 0.05 * before[name])
        scale = 0.2 * max(parameter.shape) ** 0.5
        # The smallest of a square matrix takes more iterations than Muon spends.
        assert 0.6 < float(values.quantile(0.1)) / scale <= float(values.max()) / scale < 1.3, name


def test_a_state_is_enough_to_go_on() -> None:
    weights, _ = stepped(0, 1, 2)
    torch.manual_seed(1)
    model, states = MiniLlama(SIZES["mini-small"]), []
    for step in range(N_STEPS):
        optimizer = Optimizer(model, 0, 1)
        if states:
            optimizer.load(states[-1])
        for number, parameter in enumerate(model.parameters()):
            draws = torch.Generator().manual_seed(1000 * step + number)
            parameter.grad = torch.randn((2, *parameter.shape), generator=draws).mean(0)
        optimizer.step(RATE)
        states.append(optimizer.state())
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name]), name


if __name__ == "__main__":
    one_of_two(int(sys.argv[2]), Path(sys.argv[1]))
