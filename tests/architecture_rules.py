"""The rules of the house as functions of a source tree: each returns the list of its violations.

`test_architecture.py` applies them to this repository and shows, on small bad trees, that each of
them can fail. The tables below are the layer diagram of ARCHITECTURE.md in executable form.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

C_LAYERS = ("base", "formats", "kernels", "ops", "model", "binding")

# What a module or package directly under qbench/ may import of qbench, as dotted prefixes. All
# may import `errors`, `folders` and `_version`. `_core` stands in one line only, and so does `cli`.
_BELOW_STUDY = {
    *("core", "data", "engine", "metrics", "mini", "models", "quant", "reference"),
    *("registry", "stats", "tasks"),
}
PYTHON_LAYERS: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "folders": set(),
    "registry": set(),
    "metrics": set(),
    "stats": set(),
    "reference": set(),
    "idle": set(),
    "core": {"_core", "idle"},
    "mini": set(),
    "models": {"core", "registry", "mini"},
    "engine": {"core", "models", "metrics"},
    "quant": {"core", "models", "engine", "registry"},
    "data": {"registry", "mini"},
    "tasks": {"data", "metrics", "registry"},
    "study": _BELOW_STUDY,
    "analysis": {"study.records", "stats"},
    "report": {*_BELOW_STUDY, "study", "analysis"},
    "adapters": {*_BELOW_STUDY, "study", "analysis", "report"},
    "cli": {*_BELOW_STUDY, "study", "analysis", "report", "adapters"},
    "_worker": set(),
    "__main__": {"cli"},
}
EVERYBODYS = {"errors", "folders", "_version"}
# Imports that the table forbids, each with its reason: {(file, imported prefix): "reason"}.
IMPORT_EXEMPT = {
    ("qbench/study/study.py", "report.html"): "Study.report writes the page, looked up when called",
}

# Lines per file: pattern under the root, limit. The first match counts.
LENGTH_LIMITS = (
    ("setup.py", 120),
    ("csrc/**/*", 800),
    ("tests/**/*.py", 600),
    ("**/*.py", 500),
)
# An exemption is a named entry with a reason: {"path": (limit, "reason")}.
LENGTH_EXEMPT: dict[str, tuple[int, str]] = {}
FUNCTION_LIMIT = 60
KERNEL_FUNCTION_LIMIT = 120

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
_INTRINSICS = re.compile(r"(\w*intrin|arm_neon|arm_sve)\.h$")
_COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S
)
_ALLOCATION = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\s*\("
)
_PROCESS = re.compile(
    r"(?<![\w.>])(exit|_exit|_Exit|quick_exit|abort|printf|fprintf|vprintf|vfprintf|dprintf|puts"
    r"|fputs|putchar|perror)\s*\("
)
# Assembled, so that this file does not hold what it looks for.
_MACHINE = re.compile(
    "|".join(
        [
            *(
                rf"(?<![\w.])/{name}/"
                for name in ("wo" + "rk", "ro" + "ot", "ho" + r"me/\w+", "Us" + r"ers/\w+")
            ),
            *(
                name.replace("_", r"\.")
                for name in ("py" + "pi_org/simple", "py" + "thonhosted_org")
            ),
        ]
    )
)
_TEXT = {
    *(".py", ".pyi", ".c", ".h", ".def", ".inc", ".md", ".toml", ".txt", ".json", ".jsonl", ".csv"),
    *(".html", ".css", ".js", ".ipynb", ".cfg", ".in", ".yml", ".yaml", ".raw", ".svg", ""),
}


def c_files(root: Path) -> list[Path]:
    """Return the C sources, headers, lists and bodies."""
    return sorted(p for p in (root / "csrc").rglob("*") if p.suffix in {".c", ".h", ".def", ".inc"})


def isa_tiers(root: Path) -> list[str]:
    """Return the tiers above the baseline, from their one list in base/isa.h."""
    names = re.findall(r'X\(\w+, \d+, "(\w+)"\)', (root / "csrc/base/isa.h").read_text())
    return [name for name in names if name != "scalar"]


def c_include_violations(root: Path) -> list[str]:
    """Includes point downward and start at csrc/; foreign headers stay where they belong."""
    found = []
    tiers = "|".join(isa_tiers(root))
    for path in c_files(root):
        name = path.relative_to(root / "csrc").as_posix()
        layer = name.split("/")[0]
        if layer not in C_LAYERS or "/" not in name:
            found.append(f"{name}: lies in no layer ({' < '.join(C_LAYERS)})")
            continue
        for quote, target in _INCLUDE.findall(path.read_text()):
            if quote == "<":
                reason = _foreign_header(name, target, tiers)
                if reason:
                    found.append(f"{name}: <{target}> {reason}")
            elif not (root / "csrc" / target).is_file():
                found.append(f'{name}: "{target}" is not written from csrc/')
            elif C_LAYERS.index(target.split("/")[0]) > C_LAYERS.index(layer):
                found.append(f'{name}: "{target}" lies above {layer}')
    return found


def _foreign_header(name: str, target: str, tiers: str) -> str | None:
    """Say why file `name` may not include the system header `target`; None if it may."""
    if target == "Python.h" or target.startswith("numpy/"):
        return None if name.startswith("binding/") else "belongs in binding/"
    if target == "omp.h":
        return None if name == "base/threads.c" else "belongs in base/threads.c"
    if _INTRINSICS.search(target):
        allowed = re.fullmatch(rf"kernels/\w+_({tiers})(_\w+)?\.\w+", name)
        return None if allowed else "belongs in kernels/*_<tier>.*"
    return None


def c_call_violations(root: Path) -> list[str]:
    """Allocation only in base/memory.c, OpenMP only in base/threads.c; never print or leave."""
    found = []
    for path in c_files(root):
        name = path.relative_to(root / "csrc").as_posix()
        code = _COMMENT_OR_STRING.sub(" ", path.read_text())
        calls = set(_PROCESS.findall(code))
        if name != "base/memory.c":
            calls |= set(_ALLOCATION.findall(code))
        if name != "base/threads.c" and re.search(r"#\s*pragma\s+omp\b", code):
            calls.add("#pragma omp")
        found += [f"{name}: {call}" for call in sorted(calls)]
    return found


def c_name_violations(root: Path) -> list[str]:
    """File names are unique over csrc/, so that one can be named without its folder."""
    first: dict[str, str] = {}
    found = []
    for path in c_files(root):
        name = path.relative_to(root / "csrc").as_posix()
        if first.setdefault(path.name, name) != name:
            found.append(f"{name}: same name as {first[path.name]}")
    return found


def _imports(path: Path, package: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of every import in a file, relative ones resolved."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            if called == "import_module" and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def python_import_violations(root: Path) -> list[str]:
    """Imports inside qbench/ follow the layer table; only core.py knows the C module."""
    found = []
    for path in sorted((root / "qbench").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts == ("qbench", "__init__"):
            continue  # names only: another rule
        layer = parts[1]
        if layer not in PYTHON_LAYERS:
            found.append(f"{'/'.join(parts)}: `{layer}` stands in no line of the layer table")
            continue
        for line, name in _imports(path, list(parts[:-1])):
            if name.split(".")[0] != "qbench":
                continue
            inside = name.removeprefix("qbench").lstrip(".")
            exempt = {what for file, what in IMPORT_EXEMPT if file == "/".join(parts) + ".py"}
            allowed = PYTHON_LAYERS[layer] | EVERYBODYS | {layer} | exempt
            if not any(inside == one or inside.startswith(f"{one}.") for one in allowed):
                found.append(f"{'/'.join(parts)}.py:{line}: {layer} may not import {name}")
    return found


def init_violations(root: Path) -> list[str]:
    """`__init__.py` holds names only: no classes, no functions but a lazy `__getattr__`."""
    found = []
    for path in sorted((root / "qbench").rglob("__init__.py")):
        for node in ast.parse(path.read_text()).body:
            lazy = isinstance(node, ast.FunctionDef) and node.name in {"__getattr__", "__dir__"}
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not lazy:
                found.append(f"{path.relative_to(root)}:{node.lineno}: defines {node.name}")
    return found


def source_files(root: Path) -> list[Path]:
    """Return what belongs to the repository: by git, or without git what no build has made."""
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    if (root / ".git").exists():
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
        paths: Iterable[Path] = (root / name for name in listed.split("\0") if name)
    else:
        skipped = {"build", "dist", "__pycache__"}
        paths = (
            path
            for path in root.rglob("*")
            if not any(
                part in skipped
                or (part.startswith(".") and part != ".ci")
                or part.endswith("-info")
                for part in path.relative_to(root).parts
            )
        )
    return sorted(path for path in paths if path.is_file())


def length_violations(root: Path) -> list[str]:
    """No file is longer than its kind may be."""
    found = []
    for path in source_files(root):
        name = path.relative_to(root)
        limit = next((n for pattern, n in LENGTH_LIMITS if _matches(name, pattern)), None)
        if limit is None or path.suffix == ".md":
            continue
        limit = LENGTH_EXEMPT.get(name.as_posix(), (limit, ""))[0]
        lines = len(path.read_text().splitlines())
        if lines > limit:
            found.append(f"{name}: {lines} lines, at most {limit}")
    return found


def _matches(name: Path, pattern: str) -> bool:
    """Match like glob, where `**/` may be empty (PurePath.match has no `**` before 3.13)."""
    regex = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(regex, name.as_posix()) is not None


def function_violations(root: Path) -> list[str]:
    """No function is longer than a reader can hold in mind; a kernel may be one loop nest."""
    found = []
    for path in sorted((root / "qbench").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
                lines = (node.end_lineno or 0) - (start or 0)
                if lines > FUNCTION_LIMIT:
                    found.append(
                        f"{path.relative_to(root)}:{node.lineno}: {node.name}, {lines} lines"
                    )
    for path in c_files(root):
        limit = KERNEL_FUNCTION_LIMIT if path.parent.name == "kernels" else FUNCTION_LIMIT
        start = 0
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start > limit:
                    found.append(f"{path.relative_to(root)}:{start}: {number - start} lines")
                start = 0
    return found


def machine_path_violations(root: Path) -> list[str]:
    """No text names a folder of somebody's machine or the host of a package index."""
    found = []
    for path in source_files(root):
        if path.suffix not in _TEXT:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if hit := _MACHINE.search(line):
                found.append(f"{path.relative_to(root)}:{number}: {hit[0]}")
    return found


def export_violations(nm_output: str) -> list[str]:
    """`nm -D --defined-only`: the module exports its entry point and nothing else."""
    names = {line.split()[-1] for line in nm_output.splitlines() if line.strip()}
    missing = [] if "PyInit__core" in names else ["PyInit__core is missing"]
    return missing + sorted(names - {"PyInit__core"})


def isa_leaks(disassembly: str, tiers: Iterable[str]) -> list[str]:
    """`objdump -d --no-show-raw-insn`: wide registers and VEX code only in functions of a tier."""
    found: dict[str, str] = {}
    suffixes = tuple(f"_{tier}" for tier in tiers)
    function = ""
    for line in disassembly.splitlines():
        if header := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            # gcc clones a function as name.constprop.0, name.part.0, name.cold, name._omp_fn.0
            function = header[1].split(".")[0] or header[1]
        elif function and not function.endswith(suffixes):
            code = line.partition(":")[2].strip()
            if re.search(r"%[yz]mm\d", code) or re.match(r"v\w+ .*%xmm\d", code):
                found.setdefault(function, code)
    return [f"{name}: {code}" for name, code in found.items()]
