"""What ``import qbench`` gives, and what it must not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import qbench

HEAVY = ("pandas", "pyarrow", "scipy", "matplotlib", "rouge_score", "gguf")


def test_version_and_names():
    assert qbench.__version__.count(".") == 2
    assert set(dir(qbench)) >= {"load", "evaluate", "Study", "Recipe", "Model", "Results"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        qbench.nothing  # noqa: B018


@pytest.mark.parametrize("name", sorted(set(qbench.__all__) - {"__version__"}))
def test_every_public_name_is_there(name):
    found = getattr(qbench, name)
    assert found.__name__ == name and found.__module__.startswith("qbench.")


def test_studies_load_no_heavy_package_before_they_are_asked_to():
    code = (
        "import sys, qbench; qbench.Study; qbench.evaluate; qbench.Results; qbench.Recipe;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
