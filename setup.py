"""The one C extension, `qbench._core`; everything else about the package stands in pyproject.toml.

Switches: QBENCH_DEBUG (asserts), _SANITIZE, _COVERAGE (gcov), _NO_OPENMP (one thread), _WERROR, and
_EMULATE_AVX512 (for tests). Sources choose instruction sets: no flag here may raise the baseline.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
COMMON = """-std=c11 -fvisibility=hidden -ffp-contract=off -fno-math-errno -fstack-protector-strong
    -fno-strict-overflow -fno-delete-null-pointer-checks -U_FORTIFY_SOURCE -MMD
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes"""
RELEASE = "-O3 -D_FORTIFY_SOURCE=2 -fno-tree-pre -frename-registers"  # the last: fewer copies
DEBUG = "-O1 -g -UNDEBUG"
MODES = {  # without -fno-var-tracking gcc 12 spends minutes on one sanitized kernel file
    "COVERAGE": "-O0 -g -UNDEBUG --coverage -fprofile-update=atomic",
    "SANITIZE": f"{DEBUG} -fsanitize=address,undefined -fno-omit-frame-pointer -fno-var-tracking",
    "DEBUG": DEBUG,
}
EMULATE = [("QB_EMULATE_AVX512", "1")]
NUMPY_API = [(f"NPY_{x}", "NPY_2_0_API_VERSION") for x in ("NO_DEPRECATED_API", "TARGET_VERSION")]
PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() > 0 ? 0 : 1; }\n"
NO_OPENMP = """error: the C compiler cannot build and run an OpenMP program. With gcc install
libgomp, with clang libomp; or build a one-thread core with QBENCH_NO_OPENMP=1."""


def switch(name: str) -> bool:
    """Say whether an environment switch is on; unset, empty and 0 mean off."""
    return os.environ.get(f"QBENCH_{name}", "0") not in ("", "0")


def csrc(*suffixes: str) -> list[str]:
    """Return the C files with these suffixes, relative to this file, in a stable order."""
    return sorted(str(p.relative_to(ROOT)) for x in suffixes for p in ROOT.glob(f"csrc/**/*.{x}"))


def flags() -> tuple[list[str], list[str]]:
    """Return (compiler flags, linker flags) without OpenMP."""
    mode = next((MODES[name] for name in MODES if switch(name)), RELEASE)
    compile_args, link_args = f"{COMMON} {mode}", mode
    if sys.platform == "linux":
        link_args += " -Wl,-z,relro,-z,now,-z,noexecstack"
        compile_args += " -march=x86-64" * (platform.machine() == "x86_64")
    return (compile_args + " -Werror" * switch("WERROR")).split(), link_args.split()


def newest_input(target: Path) -> float:
    """Return the latest change among the files an object was made from; inf if unknown."""
    try:
        rule = target.with_suffix(".d").read_text().replace("\\\n", " ").split(":", 1)[1]
        return max((ROOT / name).stat().st_mtime for name in rule.split())
    except (OSError, IndexError):
        return float("inf")


class BuildExt(build_ext):
    """Compile the sources in parallel, and only those that changed or include a changed header."""

    def build_extensions(self) -> None:
        """Add OpenMP, then build with a compile step that keeps its objects between builds."""
        if not switch("NO_OPENMP"):
            self.probe_openmp()
            core.extra_compile_args.append("-fopenmp")
            core.extra_link_args.append("-fopenmp")
        self.force = True  # always link: what must be compiled is decided per object below
        compile_one = self.compiler.compile

        def compile_all(sources, output_dir=None, depends=None, **options):
            what = [options[name] for name in ("macros", "extra_postargs", "debug")]
            key = repr((self.compiler.compiler_so, sys.version, numpy.__version__, what))
            folder = ROOT / "build" / f"objects-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

            def compile_if_older(source: str) -> str:
                target = folder / Path(source).with_suffix(".o")
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists() or target.stat().st_mtime <= newest_input(target):
                    compile_one([source], output_dir=str(folder), **options)
                return str(target)

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(compile_if_older, sources))

        self.compiler.compile = compile_all
        super().build_extensions()

    def probe_openmp(self) -> None:
        """Compile, link and run a small OpenMP program, or stop with a message that helps."""
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder, "probe.c"), f"{folder}/probe"
            source.write_text(PROBE)
            for run in ([*self.compiler.compiler, source, "-fopenmp", "-o", program], [program]):
                if subprocess.run(run, capture_output=True, check=False).returncode:
                    raise SystemExit(NO_OPENMP)


COMPILE_ARGS, LINK_ARGS = flags()
core = Extension(
    "qbench._core",
    csrc("c"),
    depends=csrc("h", "def", "inc"),
    include_dirs=["csrc", numpy.get_include()],
    libraries=["m"],
    define_macros=[*NUMPY_API, *EMULATE * switch("EMULATE_AVX512")],
    extra_compile_args=COMPILE_ARGS,
    extra_link_args=LINK_ARGS,
)
setup(ext_modules=[core], cmdclass={"build_ext": BuildExt})
