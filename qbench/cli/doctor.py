"""`qbench doctor`: what this machine and this installation offer, and what stands in the way."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qbench.cli.options import DataOption, JsonOption, ThreadsOption
from qbench.errors import RequestError

if TYPE_CHECKING:
    from qbench.core import WeightFormat
    from qbench.data.folder import DataFolder

# What results or speed depend on; named in every bug report.
PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "tokenizers",
    "jinja2",
    "huggingface_hub",
    "typer",
    "rich",
    "lm-eval",
)
PEAK_NAMES = {
    "int_gmacs": "integer products, GMAC/s",
    "float_gmacs": "float32 products, GMAC/s",
    "bf16_gmacs": "bf16 products, GMAC/s",
    "read_gbs": "memory read, GB/s",
}
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

Section = dict[str, Any]


def doctor(
    data: DataOption = None,
    threads: ThreadsOption = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure the machine's peaks (seconds).")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Tell tier, kernels, threads, compiler, versions, data, and the measured peaks."""
    from qbench import core

    count = threads or core.default_threads()
    sections: dict[str, Section] = {
        "qbench": _versions(core.engine_version()),
        "processor": _processor(core.isa_tier(), core.isa_tiers()),
        "threads": _threads(count),
        "build": dict(core.build_info()),
        "kernels": _kernels(core.formats(), core.isa_tier()),
        "packages": _packages(),
        "data": data_state(data),
    }
    if measure:
        sections["peaks"] = core.measure_peaks(count)._asdict()
    advice = _advice(sections)
    if as_json:
        from qbench.cli.terminal import print_json

        print_json({**sections, "advice": advice})
    else:
        _print(sections, advice)


def _versions(engine: str) -> Section:
    """Versions of the package, its core, and what runs it."""
    from qbench._version import __version__

    return {
        "version": __version__,
        "engine": engine,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor(tier: str, tiers: Sequence[tuple[str, bool]]) -> Section:
    """Name of the processor, the tier in use, and those it could use, slowest first."""
    return {
        "name": processor_name(Path("/proc/cpuinfo")),
        "tier": tier,
        "available": [name for name, here in tiers if here],
        "QBENCH_ISA": os.environ.get("QBENCH_ISA", "not set"),
    }


def processor_name(path: Path) -> str:
    """Return the processor's name as the kernel tells it.

    Parameters
    ----------
    path
        A file in the form of `/proc/cpuinfo`.

    Returns
    -------
    str
        Its name, or the architecture where the kernel tells none.
    """
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.machine()


def _threads(count: int) -> Section:
    """Threads in use and what bounds them."""
    return {
        "used": count,
        "affinity": len(os.sched_getaffinity(0)),
        "processors": os.cpu_count(),
        "cgroup quota": quota(CGROUP_QUOTA) or "none",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
    }


def quota(path: Path) -> float | None:
    """Return the processors that a control group allows, None for no bound.

    Parameters
    ----------
    path
        `cpu.max` of cgroup v2: quota and period in microseconds, or `max`.

    Returns
    -------
    float or None
    """
    if not path.is_file():
        return None
    words = path.read_text(encoding="ascii").split()
    if len(words) != 2 or words[0] == "max":
        return None
    return round(int(words[0]) / int(words[1]), 2)


def _kernels(formats: Sequence[WeightFormat], tier: str) -> Section:
    """Weight formats that the core multiplies with, each by kernels of the tier in use."""
    return {form.name: f"{form.bits} bits, {form.kind}, {tier}" for form in formats}


def _packages() -> Section:
    """Versions of the packages that are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def data_state(data: Path | None) -> Section:
    """Say which folder benchmarks are read from, and which of them are in it.

    Parameters
    ----------
    data
        The user's `--data`.

    Returns
    -------
    dict
        `folder`, and for each task the path of its files or `not found`.
    """
    from qbench.data.folder import DataFolder
    from qbench.study.plan import data_folder

    try:
        folder = data_folder(data)
    except RequestError as error:
        return {"folder": f"none: {error}"}
    opened = DataFolder.open(folder)
    readers: dict[str, Callable[[DataFolder], Path]] = {
        "mmlu": DataFolder.mmlu,
        "snli": DataFolder.snli,
        "perplexity (WikiText-2)": DataFolder.wikitext2,
    }
    state: Section = {"folder": str(folder)}
    for task, read in readers.items():
        try:
            state[task] = str(read(opened))
        except RequestError:
            state[task] = "not found"
    return state


def _advice(sections: Mapping[str, Section]) -> list[str]:
    """What the user could change to be faster or to be able to run."""
    advice = []
    tier, available = sections["processor"]["tier"], sections["processor"]["available"]
    if available and tier != available[-1]:
        advice.append(f"runs on tier {tier} although {available[-1]} is there; see QBENCH_ISA")
    threads = sections["threads"]
    if threads["used"] > threads["affinity"]:
        advice.append(
            f"{threads['used']} threads on {threads['affinity']} allowed processors wait for "
            "each other; lower --threads"
        )
    if not sections["build"].get("openmp", True):
        advice.append("built without OpenMP: one thread only; reinstall where gcc has libgomp")
    if str(sections["data"]["folder"]).startswith("none"):
        advice.append("no benchmark files: name their folder with --data or $QBENCH_DATA")
    return advice


def _print(sections: Mapping[str, Section], advice: list[str]) -> None:
    """Print sections as aligned lines."""
    from qbench.cli.terminal import console, safe

    screen = console()
    for title, section in sections.items():
        screen.print(safe(title, "bold"))
        named = {PEAK_NAMES.get(name, name): value for name, value in section.items()}
        width = max((len(name) for name in named), default=0)
        for name, value in named.items():
            screen.print(safe(f"  {name:<{width}}  {_text(value)}"), soft_wrap=True)
    for line in advice:
        screen.print(safe(f"! {line}", "dark_orange3"), soft_wrap=True)


def _text(value: Any) -> str:
    """Write one value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return str(value)
