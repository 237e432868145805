"""The layer diagram, the house rules and the build's promises, applied to this repository.

Each rule is first shown to fail on a small bad tree: a rule that cannot fail protects nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import architecture_rules as rules
import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("pandas", "pyarrow", "scipy", "matplotlib", "rouge_score", "gguf")
ISA_H = 'X(SCALAR, 0, "scalar")\nX(AVX2, 1, "avx2")\nX(AVX512, 2, "avx512")\n'

Rule = Callable[[Path], list[str]]
TREE_RULES: list[Rule] = [
    rules.c_include_violations,
    rules.c_call_violations,
    rules.c_name_violations,
    rules.python_import_violations,
    rules.init_violations,
    rules.length_violations,
    rules.function_violations,
    rules.machine_path_violations,
]

# (rule, file, its text, what the violation says). Every other file of the tree is innocent.
BAD_TREES: list[tuple[Rule, str, str, str]] = [
    (rules.c_include_violations, "csrc/base/a.c", '#include "ops/b.h"\n', "lies above base"),
    (rules.c_include_violations, "csrc/ops/a.c", '#include "b.h"\n', "not written from csrc/"),
    (rules.c_include_violations, "csrc/extra/a.c", "int x;\n", "lies in no layer"),
    (rules.c_include_violations, "csrc/model/a.c", "#include <Python.h>\n", "belongs in binding/"),
    (
        rules.c_include_violations,
        "csrc/ops/a.c",
        "#include <numpy/arrayobject.h>\n",
        "belongs in binding/",
    ),
    (rules.c_include_violations, "csrc/ops/a.c", "#include <omp.h>\n", "base/threads.c"),
    (
        rules.c_include_violations,
        "csrc/kernels/gemm.c",
        "# include <immintrin.h>\n",
        "belongs in kernels/*_<tier>.*",
    ),
    (rules.c_include_violations, "csrc/ops/a_avx2.c", "#include <immintrin.h>\n", "belongs in"),
    (rules.c_call_violations, "csrc/model/a.c", "void f(void) { free(p); }\n", "free"),
    (rules.c_call_violations, "csrc/model/a.c", "x = calloc (1, 2);\n", "calloc"),
    (rules.c_call_violations, "csrc/base/memory.c", "abort();\n", "abort"),
    (rules.c_call_violations, "csrc/ops/a.c", 'printf("x");\n', "printf"),
    (rules.c_call_violations, "csrc/ops/a.c", "#pragma omp parallel\n", "#pragma omp"),
    (rules.c_name_violations, "csrc/ops/isa.h", "", "same name as base/isa.h"),
    (
        rules.python_import_violations,
        "qbench/models/a.py",
        "from qbench.engine import Model\n",
        "models may not import qbench.engine.Model",
    ),
    (
        rules.python_import_violations,
        "qbench/engine/a.py",
        "def f():\n    from qbench import _core\n",
        "engine may not import qbench._core",
    ),
    (
        rules.python_import_violations,
        "qbench/stats/a.py",
        "from ..tasks import Task\n",
        "stats may not import qbench.tasks.Task",
    ),
    (
        rules.python_import_violations,
        "qbench/report/a.py",
        "import qbench.cli.main\n",
        "report may not import qbench.cli.main",
    ),
    (
        rules.python_import_violations,
        "qbench/analysis/a.py",
        "from qbench.study.store import Store\n",
        "analysis may not import qbench.study.store.Store",
    ),
    (
        rules.python_import_violations,
        "qbench/errors.py",
        'import importlib\nimportlib.import_module("qbench.core")\n',
        "errors may not import qbench.core",
    ),
    (rules.python_import_violations, "qbench/data/a.py", "import qbench\n", "data may not import"),
    (rules.python_import_violations, "qbench/odd/a.py", "", "in no line of the layer table"),
    (rules.init_violations, "qbench/data/__init__.py", "def f():\n    pass\n", "defines f"),
    (rules.length_violations, "qbench/data/a.py", "x = 1\n" * 501, "501 lines, at most 500"),
    (rules.length_violations, "tests/data/a.py", "x = 1\n" * 601, "601 lines, at most 600"),
    (rules.length_violations, "csrc/ops/a.c", "\n" * 801, "801 lines, at most 800"),
    (rules.length_violations, "setup.py", "x = 1\n" * 121, "121 lines, at most 120"),
    (
        rules.function_violations,
        "qbench/data/a.py",
        "def f():\n" + "    x = 1\n" * 61,
        "f, 61 lines",
    ),
    (
        rules.function_violations,
        "csrc/ops/a.c",
        "int f(void)\n{\n" + "    x++;\n" * 60 + "}\n",
        "61 lines",
    ),
    (
        rules.machine_path_violations,
        "docs/a.md",
        "see " + "/wo" + "rk/main for more\n",
        "docs/a.md:1",
    ),
]


@pytest.mark.parametrize("rule", TREE_RULES, ids=lambda rule: rule.__name__)
def test_this_repository_follows(rule: Rule) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize("index", range(len(BAD_TREES)))
def test_rule_fails_on_a_bad_tree(index: int, tmp_path: Path) -> None:
    rule, name, text, said = BAD_TREES[index]
    innocent = {
        "csrc/base/isa.h": ISA_H,
        "csrc/base/memory.c": '#include "base/isa.h"\nvoid f(void) { free(malloc(1)); }\n',
        "csrc/base/threads.c": "#include <omp.h>\n#pragma omp parallel\n",
        "csrc/ops/b.h": "/* printf(this); */ int snprintf(char *); // exit(1)\n",
        "csrc/kernels/gemm_avx512.c": '#include <immintrin.h>\n#include "base/isa.h"\n',
        "csrc/binding/py.c": '#include <Python.h>\n#include "ops/b.h"\n',
        "qbench/__init__.py": "from qbench.cli import main\n",
        "qbench/core.py": "from qbench import _core\nfrom qbench.errors import QbenchError\n",
        "qbench/analysis/b.py": "from qbench.study.records import ResultRow\n",
        "qbench/cli/b.py": "from qbench import core\nimport qbench.report.html\n",
    }
    for path, content in (innocent | {name: text}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    violations = rule(tmp_path)
    assert len(violations) == 1, violations
    assert said in violations[0]
    if name not in innocent:
        (tmp_path / name).unlink()
        assert rule(tmp_path) == []


def test_every_tree_rule_is_shown_to_fail() -> None:
    assert {rule for rule, *_ in BAD_TREES} == set(TREE_RULES)


def in_fresh_python(code: str) -> dict[str, object]:
    """Run code that prints one JSON object in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


REPORT = f"""
print(json.dumps({{"loaded": [m for m in {HEAVY!r} if m in sys.modules], "seconds": seconds}}))
"""
IMPORT = """
import json, sys, time
start = time.perf_counter()
import qbench
seconds = time.perf_counter() - start
"""


def test_import_is_light_and_quick() -> None:
    runs = [in_fresh_python(IMPORT + REPORT) for _ in range(3)]
    assert [run["loaded"] for run in runs] == [[], [], []]
    assert min(float(str(run["seconds"])) for run in runs) < 0.3


def test_public_names_are_light_too() -> None:
    names = "for name in qbench.__all__: getattr(qbench, name)\n"
    assert in_fresh_python(IMPORT + names + REPORT)["loaded"] == []


def test_the_import_check_sees_a_heavy_import() -> None:
    assert in_fresh_python(IMPORT + "import scipy" + REPORT)["loaded"] == ["scipy"]


@pytest.fixture(scope="module")
def extension() -> Path:
    """Return the one compiled module of the package."""
    from qbench import _core

    path = Path(_core.__file__)
    assert [p.name for p in path.parent.rglob("*.so")] == [path.name]
    return path


def binutils(*command: str) -> str:
    """Run a tool of the compiler's own tool chain."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} (binutils) is not installed")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_extension_exports_its_entry_only(extension: Path) -> None:
    output = binutils("nm", "-D", "--defined-only", str(extension))
    if "__gcov" in output or "__asan" in binutils("nm", "-D", str(extension)):
        pytest.skip("an instrumented build exports its instrumentation")
    assert rules.export_violations(output) == []


def test_export_rule_fails() -> None:
    good = "0000000000003be2 T PyInit__core\n"
    assert rules.export_violations(good) == []
    assert rules.export_violations(good + "0000000000001000 T qb_matmul\n") == ["qb_matmul"]
    assert rules.export_violations("") == ["PyInit__core is missing"]


def test_wide_instructions_stay_in_their_tier(extension: Path) -> None:
    output = binutils("objdump", "-d", "--no-show-raw-insn", str(extension))
    tiers = rules.isa_tiers(ROOT)
    assert rules.isa_leaks(output, tiers) == []
    if "%zmm" in output or "%ymm" in output:
        assert rules.isa_leaks(output, []) != []


DISASSEMBLY = """
0000000000001000 <qb_gemm_q4_{suffix}>:
    1000:\tvpdpbusd %zmm1,%zmm2,%zmm3
    1006:\tret

0000000000002000 <qb_matmul>:
    2000:\tmovaps {line}
    2003:\tverr   %ax
"""


@pytest.mark.parametrize("suffix", ["avx512", "avx512.constprop.0", "avx512.part.0.isra.0.cold"])
def test_isa_rule_knows_the_clones_of_a_tier_function(suffix: str) -> None:
    text = DISASSEMBLY.format(suffix=suffix, line="%xmm1,%xmm2")
    assert rules.isa_leaks(text, ["avx2", "avx512"]) == []


@pytest.mark.parametrize(
    ("suffix", "line", "where"),
    [
        ("avx512_helper", "%xmm1,%xmm2", "qb_gemm_q4_avx512_helper"),
        ("scalar", "%xmm1,%xmm2", "qb_gemm_q4_scalar"),
        ("avx512", "%xmm1,%xmm2\n    2010:\tvmovdqu (%rax),%ymm0", "qb_matmul"),
        ("avx512", "%xmm1,%xmm2\n    2010:\tvpxor  %xmm0,%xmm0,%xmm0", "qb_matmul"),
    ],
)
def test_isa_rule_fails(suffix: str, line: str, where: str) -> None:
    leaks = rules.isa_leaks(DISASSEMBLY.format(suffix=suffix, line=line), ["avx2", "avx512"])
    assert [leak.partition(":")[0] for leak in leaks] == [where]
