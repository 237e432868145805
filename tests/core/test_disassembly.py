"""What the compiler made of the kernels.

No copies between registers in hot loops, no instruction of a tier in a function that runs below it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from qbench import core

TIERS = [name for name, _ in core.isa_tiers()]
WIDE = dict.fromkeys(TIERS, "zmm") | {"scalar": "xmm", "avx2": "ymm", "avxvnni": "ymm"}
PRODUCTS = re.compile(r"vpdpbusd|vpdpwssd|vdpbf16ps|vpmaddwd|vpmaddubsw")
COPY = re.compile(r"vmov\w+\s+%([xyz]mm)\d+,%\1\d+$")


class Instruction(NamedTuple):
    address: int
    first_byte: str
    text: str


@pytest.fixture(scope="module")
def functions() -> dict[str, list[Instruction]]:
    """Instructions of every function of the extension."""
    if shutil.which("objdump") is None:
        pytest.skip("no objdump to disassemble with")
    library = core._core.__file__
    assert library is not None
    listing = subprocess.run(
        ["objdump", "-d", "--wide", library], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, list[Instruction]] = {}
    body: list[Instruction] = []
    for line in listing.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.+)>:", line):
            body = found.setdefault(head[1], [])
        elif row := re.match(r"\s+([0-9a-f]+):\t([0-9a-f]{2})[0-9a-f ]*\t(.+)", line):
            body.append(Instruction(int(row[1], 16), row[2], row[3].strip()))
    if not any(name.startswith("int_tile_") for name in found):
        pytest.skip("the extension has no symbols")
    if not any("vpdpbusd" in instruction.text for own in found.values() for instruction in own):
        pytest.skip("an emulated build has other instructions")
    return found


def tier_of(name: str) -> str:
    """The tier that a function is named after; what has no suffix must run anywhere."""
    last = re.sub(r"\.(constprop|part|isra|cold).*", "", name).rpartition("_")[2]
    return last if last in TIERS else "scalar"


def innermost_loops(body: list[Instruction]) -> Iterator[list[Instruction]]:
    index = {instruction.address: i for i, instruction in enumerate(body)}
    loops = []
    for i, instruction in enumerate(body):
        jump = re.match(r"j\w+\s+([0-9a-f]+)", instruction.text)
        target = index.get(int(jump[1], 16)) if jump else None
        if target is not None and target < i:
            loops.append((target, i))
    for first, last in loops:
        if not any((a, b) != (first, last) and a >= first and b <= last for a, b in loops):
            yield body[first : last + 1]


@pytest.mark.parametrize("tier", ["avx512", "avx512bf16"])
def test_hot_loops_do_not_copy_registers(
    tier: str, functions: dict[str, list[Instruction]]
) -> None:
    if any(name.startswith("__asan") for name in functions):
        pytest.skip("a sanitized build is not optimized")
    n_loops = 0
    for name, body in functions.items():
        tile = re.fullmatch(rf"(?:int_tile_(\d)_INT\d+|pairs_tile)_(\d)_{tier}", name)
        if tile is None or int(tile[2]) < 4:
            continue
        # Prompts are tiles of 6, batches of 8 are one; what is left over may cost a little more,
        # and so may two planes of bits beside sixteen sums.
        hot = tile[2] == "6" or (tile[2] == "8" and tile[1] != "3")
        for loop in innermost_loops(body):
            products = sum(bool(PRODUCTS.search(i.text)) for i in loop)
            copies = sum(bool(COPY.match(i.text)) for i in loop)
            n_loops += products > 0
            assert copies <= (0.1 if hot else 0.25) * products, (name, products, copies)
    assert n_loops >= 5


def test_no_function_holds_registers_wider_than_its_tier(
    functions: dict[str, list[Instruction]],
) -> None:
    n_wide = 0
    for name, body in functions.items():
        widest = WIDE[tier_of(name)]
        for instruction in body:
            for register in re.findall(r"%([yz]mm)", instruction.text):
                n_wide += 1
                assert register <= widest, (name, instruction.text)
    assert n_wide > 0


def test_tiles_are_used_by_their_tier_alone_and_released(
    functions: dict[str, list[Instruction]],
) -> None:
    configured = []
    for name, body in functions.items():
        tiles = [i.text for i in body if re.search(r"%tmm|tilecfg|tilerelease", i.text)]
        assert not tiles or tier_of(name) == "amx", (name, tiles[0])
        if any("ldtilecfg" in text for text in tiles):
            configured.append(name)
            assert any("tilerelease" in text for text in tiles), name
    assert len(configured) >= 5


def test_no_evex_instruction_below_avx512(functions: dict[str, list[Instruction]]) -> None:
    names = {tier: [n for n in functions if tier_of(n) == tier] for tier in TIERS}
    for tier in ("scalar", "avx2", "avxvnni"):
        for name in names[tier]:
            for instruction in functions[name]:
                assert instruction.first_byte != "62", (name, instruction.text)
    vnni = [i.text for name in names["avxvnni"] for i in functions[name] if "vpdp" in i.text]
    assert len(vnni) > 100 and all(text.startswith("{vex}") for text in vnni)
