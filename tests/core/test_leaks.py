from __future__ import annotations

import json
import os
import sys

import pytest
from core.scripts import output_of


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_nothing_is_kept() -> None:
    found = json.loads(output_of("leaks.py"))
    assert found["references"]
    assert found["blocks"] < 100
    if "ASAN_OPTIONS" not in os.environ:  # the sanitizer keeps freed memory on purpose
        # 60 rounds in which a lost tensor, cache or decoder would each cost megabytes.
        assert found["kib"] < 1024
