"""A folder of safetensors files as one mapping from names to weights.

One file ``model.safetensors``, or shards listed in ``model.safetensors.index.json``. Pickles are
refused, never opened. Also the in-memory twin for arrays that a caller already holds, and the scan
for NaN and infinity that loading code must run before it quantizes (int8 would hide them). It must
not know about architectures.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qbench.errors import CheckpointError, NonFiniteError, RequestError
from qbench.models.safetensors import SafetensorsFile
from qbench.models.strict_json import Fields, kind_of, read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz")
INDEX_LIMIT = 256 << 20

_SHARD_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_NUMBERED = re.compile(r"model-\d+-of-\d+\.safetensors")
_WEIGHT_DTYPES = {"F32": "f32", "F16": "f16", "BF16": "bf16"}
_RAW_NAMES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}

_hashes: dict[tuple[str, int, int, int], str] = {}


class Weight(NamedTuple):
    """A float tensor: float32, float16, or bfloat16 as the uint16 array of its bits.

    ``dtype`` is ``"f32"``, ``"f16"`` or ``"bf16"``.
    """

    array: np.ndarray
    dtype: str


def bf16_to_f32(bits: np.ndarray) -> np.ndarray:
    """Widen bfloat16 bits (uint16) to float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def as_float32(array: np.ndarray, dtype: str) -> np.ndarray:
    """Widen values of a type to float32, exactly; float32 comes back as it is."""
    if dtype == "bf16":
        return bf16_to_f32(array)
    return np.asarray(array, dtype=np.float32)


class Checkpoint:
    """The weights of a model folder. Open it with `Checkpoint.open`."""

    def __init__(
        self, folder: Path, files: Mapping[str, SafetensorsFile], metadata: dict[str, str]
    ) -> None:
        self.folder = folder
        self.metadata = metadata
        self._files = dict(files)
        self._home = {name: file for file in files.values() for name in file.tensors}

    @classmethod
    def open(cls, folder: Path | str) -> Checkpoint:
        """Open a model folder and check every header.

        Raises
        ------
        CheckpointError
            If the folder, a shard or a tensor is missing, superfluous or broken, or if there are
            only pickles.
        """
        folder = Path(folder)
        if not folder.is_dir():
            what = "is a file, expected the folder it lies in" if folder.exists() else "is missing"
            raise CheckpointError(f"cannot open the model folder {folder}: it {what}")
        if os.path.lexists(folder / SINGLE):
            file = SafetensorsFile(folder / SINGLE)
            return cls(folder, {SINGLE: file}, file.metadata)
        if os.path.lexists(folder / INDEX):
            return _open_shards(folder)
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLE_SUFFIXES)
        if pickles:
            raise CheckpointError(
                f"{folder}: only {pickles[0]}, a pickle, which could run code and is never opened; "
                f"convert it to {SINGLE} on another machine (save_pretrained writes safetensors)"
            )
        raise CheckpointError(f"{folder}: neither {SINGLE} nor {INDEX} is there")

    @property
    def names(self) -> tuple[str, ...]:
        """All tensor names, sorted."""
        return tuple(sorted(self._home))

    def has(self, name: str) -> bool:
        """Whether a tensor of that name exists."""
        return name in self._home

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._file(name).tensors[name].shape

    def dtype(self, name: str) -> str:
        """Stored type of a tensor, as safetensors names it: ``"F32"``, ``"BF16"``, ``"U8"``."""
        return self._file(name).tensors[name].dtype

    def read(self, name: str) -> Weight:
        """View a float tensor.

        Raises
        ------
        CheckpointError
            If it is missing or its type is not F32, F16 or BF16.
        """
        stored = self.dtype(name)
        if stored not in _WEIGHT_DTYPES:
            raise CheckpointError(
                f"{self._file(name).path}: tensor {name} is stored as {stored}; "
                "a weight is F32, F16 or BF16"
            )
        return Weight(self.read_raw(name), _WEIGHT_DTYPES[stored])

    def read_raw(self, name: str) -> np.ndarray:
        """View a tensor of any type that NumPy knows, as stored."""
        return self._file(name).read_raw(name)

    def sha256(self) -> str:
        r"""Hash of all weight files.

        Returns
        -------
        str
            For one file its SHA-256, as ``sha256sum`` prints it. For shards the SHA-256 of the
            lines ``"<hash>  <name>\\n"`` in the order of the names. Cached per process by path,
            size, modification time and inode.
        """
        hashes = {name: _file_hash(file) for name, file in self._files.items()}
        if list(hashes) == [SINGLE]:
            return hashes[SINGLE]
        lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
        return hashlib.sha256(lines.encode()).hexdigest()

    def check_unchanged(self) -> None:
        """Raise CheckpointError if a file was changed since it was opened."""
        for file in self._files.values():
            file.check_unchanged()

    def close(self) -> None:
        """Close the files; views that were handed out stay valid."""
        for file in self._files.values():
            file.close()

    def _file(self, name: str) -> SafetensorsFile:
        try:
            return self._home[name]
        except KeyError:
            raise CheckpointError(f"{self.folder}: there is no tensor {name!r:.80}") from None

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _open_shards(folder: Path) -> Checkpoint:
    """Open what the index lists, and require index and shards to tell the same story."""
    where = str(folder / INDEX)
    index = read_object(folder / INDEX, INDEX_LIMIT)
    fields = Fields(index, where)
    weight_map = fields.object("weight_map")
    if not weight_map:
        raise CheckpointError(f"{where}: weight_map: expected an object with tensors")
    for tensor, shard in weight_map.items():
        _check_shard_name(tensor, shard, where)
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if not os.path.lexists(folder / shard):
            raise CheckpointError(f"{folder}: the shard {shard} is missing, {INDEX} lists it")
    stray = [p.name for p in folder.iterdir() if _NUMBERED.fullmatch(p.name)]
    for shard in sorted(set(stray) - set(shards)):
        raise CheckpointError(f"{folder}: the shard {shard} is not listed in {INDEX}")
    files: dict[str, SafetensorsFile] = {}
    try:
        for shard in shards:
            files[shard] = SafetensorsFile(folder / shard)
        _compare_index(files, weight_map, index.get("metadata"), where)
    except BaseException:
        for file in files.values():
            file.close()
        raise
    metadata: dict[str, str] = {}
    for file in files.values():
        metadata.update(file.metadata)
    return Checkpoint(folder, files, metadata)


def _check_shard_name(tensor: str, shard: Any, where: str) -> None:
    """A shard is a plain safetensors file name: no separator, no parent, no pickle."""
    if not isinstance(shard, str):
        raise CheckpointError(f"{where}: weight_map: expected a file name, found {kind_of(shard)}")
    if not _SHARD_NAME.fullmatch(shard) or not shard.endswith(".safetensors") or shard[0] == ".":
        raise CheckpointError(
            f"{where}: weight_map: {tensor[:80]!r} points to {shard[:80]!r}, which is no plain "
            "name of a safetensors file in this folder"
        )


def _compare_index(
    files: Mapping[str, SafetensorsFile], weight_map: Mapping[str, str], meta: Any, where: str
) -> None:
    """Refuse tensors that only one side knows, and shards of another revision."""
    for tensor, shard in weight_map.items():
        if tensor not in files[shard].tensors:
            raise CheckpointError(f"{where}: {shard} does not hold the tensor {tensor[:80]!r}")
    for shard, file in files.items():
        for tensor in file.tensors:
            if weight_map.get(tensor) != shard:
                raise CheckpointError(f"{where}: does not list {tensor[:80]!r} of {shard}")
    total = meta.get("total_size") if isinstance(meta, dict) else None
    if total is None:
        return
    stored = sum(i.end - i.begin for file in files.values() for i in file.tensors.values())
    if type(total) not in (int, float) or total != stored:
        raise CheckpointError(
            f"{where}: total_size is {total!r:.40}, the shards hold {stored} bytes: "
            "index and shards are of different revisions"
        )


def _file_hash(file: SafetensorsFile) -> str:
    """Hash one file, once per process for each state of it."""
    key = file.identity
    if key not in _hashes:
        with file.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        file.check_unchanged()
        _hashes[key] = digest
    return _hashes[key]


class MemoryCheckpoint:
    """Arrays by name with the interface of `Checkpoint`.

    Parameters
    ----------
    arrays
        float32, float16, or uint16 (the bits of bfloat16); also any array whose dtype calls itself
        ``bfloat16``. The arrays are not copied.

    Raises
    ------
    RequestError
        For any other type.
    """

    folder: Path | None = None

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.metadata: dict[str, str] = {}
        self._weights = {name: _as_weight(name, array) for name, array in arrays.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """All tensor names, sorted."""
        return tuple(sorted(self._weights))

    def has(self, name: str) -> bool:
        """Whether an array of that name exists."""
        return name in self._weights

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array."""
        return tuple(self.read(name).array.shape)

    def dtype(self, name: str) -> str:
        """Type of an array, as safetensors would name it."""
        return _RAW_NAMES[self.read(name).dtype]

    def read(self, name: str) -> Weight:
        """Return an array with its type."""
        try:
            return self._weights[name]
        except KeyError:
            raise CheckpointError(f"there is no tensor {name!r:.80} among the arrays") from None

    def read_raw(self, name: str) -> np.ndarray:
        """Return an array; bfloat16 as its bits."""
        return self.read(name).array

    def sha256(self) -> str:
        """Hash over names, types, shapes and bytes, in the order of the names."""
        digest = hashlib.sha256()
        for name in self.names:
            weight = self._weights[name]
            digest.update(f"{name}\0{weight.dtype}\0{weight.array.shape}\0".encode())
            digest.update(np.ascontiguousarray(weight.array).tobytes())
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """Do nothing: the arrays belong to the caller."""

    def close(self) -> None:
        """Do nothing: the arrays belong to the caller."""


def _as_weight(name: str, array: Any) -> Weight:
    """Recognise the type of an array."""
    if not isinstance(array, np.ndarray):
        raise RequestError(
            f"tensor {name!r:.80}: expected a NumPy array, found {type(array).__name__} "
            "(for torch: tensor.float().numpy())"
        )
    if array.dtype.name == "bfloat16":
        return Weight(array.view(np.uint16), "bf16")
    names = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16", np.dtype(np.uint16): "bf16"}
    if array.dtype not in names:
        raise RequestError(
            f"tensor {name!r:.80}: expected float32, float16 or bfloat16 bits (uint16), found "
            f"{array.dtype} (convert it with .astype(np.float32))"
        )
    return Weight(array, names[array.dtype])


def check_finite(weight: Weight, name: str) -> None:
    """Look for NaN and infinity.

    Parameters
    ----------
    weight
        The tensor; it is scanned in pieces of about a million values.
    name
        Its name, for the error.

    Raises
    ------
    NonFiniteError
        Naming the tensor and the row and column of the first such value (a vector is one row).
    """
    if weight.array.size == 0:
        return
    first_axis = 1 if weight.array.ndim < 2 else weight.array.shape[0]
    rows = weight.array.reshape(first_axis, -1)
    step = max(1, (1 << 20) // rows.shape[1])
    for first in range(0, rows.shape[0], step):
        bad = _non_finite(rows[first : first + step], weight.dtype)
        if bad.any():
            row, column = (int(i[0]) for i in np.nonzero(bad))
            raise NonFiniteError(
                f"tensor {name}: NaN or infinity at row {first + row}, column {column}; "
                "the weights are damaged, get them again"
            )


def _non_finite(values: np.ndarray, dtype: str) -> np.ndarray:
    """Mask of NaN and infinity; for bfloat16 bits, an exponent of all ones."""
    if dtype == "bf16":
        mask: np.ndarray = (values & np.uint16(0x7F80)) == 0x7F80
        return mask
    finite: np.ndarray = np.isfinite(values)
    return ~finite
