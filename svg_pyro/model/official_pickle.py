"""Files of the first code, read without running anything that is in them.

They are pickles of whole modules. The unpickler knows the names that such files hold,
each of which becomes an inert object with attributes; any other name is refused. The
containers are taken apart here as well: the one of PyTorch before 1.6 (pickles one
after the other, then the storages) and the later one (a zip archive).
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from svg_pyro.errors import CheckpointError

_ZIP = b"PK\x03\x04"
_LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # PyTorch's magic number
_LEGACY_VERSION = 1001
_LARGEST_PICKLE = 2**26  # bytes; published files have below 2**20
_DEEPEST = 16  # modules inside each other
_KNOWN = {
    "models.lstm": "lstm gaussian_lstm",
    "models.dcgan_64": "encoder decoder dcgan_conv dcgan_upconv",
    "models.dcgan_128": "encoder decoder dcgan_conv dcgan_upconv",
    "models.vgg_64": "encoder decoder vgg_layer",
    "models.vgg_128": "encoder decoder vgg_layer",
    "torch.nn.modules.conv": "Conv2d ConvTranspose2d",
    "torch.nn.modules.batchnorm": "BatchNorm2d",
    "torch.nn.modules.activation": "LeakyReLU Tanh Sigmoid",
    "torch.nn.modules.container": "Sequential ModuleList",
    "torch.nn.modules.linear": "Linear",
    "torch.nn.modules.rnn": "LSTMCell",
    "torch.nn.modules.pooling": "MaxPool2d",
    "torch.nn.modules.upsampling": "UpsamplingNearest2d",
    "argparse": "Namespace",
    "torch.optim.adam": "Adam",
    "torch.nn.backends.thnn": "_get_thnn_function_backend",
}
_DTYPES = {"FloatStorage": torch.float32, "LongStorage": torch.int64}


class _Refused(Exception):
    """The file names what no file of the first code holds."""


@dataclass
class _Storage:
    """Numbers of a file; `values` once they have been read."""

    dtype: torch.dtype
    count: int
    values: torch.Tensor | None = None

    def __setstate__(self, state: object) -> None:
        raise _Refused("a state given to a storage")


@dataclass
class _Tensor:
    storage: Any
    offset: Any
    size: Any
    stride: Any

    def __setstate__(self, state: object) -> None:
        raise _Refused("a state given to a tensor")

    def read(self) -> torch.Tensor:
        """The tensor; only what lies in memory in one piece is known."""
        values = self.storage.values
        expected, step = [], 1
        for n in reversed(self.size):
            expected.append(step)
            step *= max(1, int(n))
        count = torch.Size(self.size).numel()
        strides = zip(self.size, self.stride, reversed(expected), strict=True)
        if any(n > 1 and have != want for n, have, want in strides):
            raise CheckpointError(f"a tensor of strides {tuple(self.stride)}")
        if self.offset < 0 or count < 0 or self.offset + count > len(values):
            raise CheckpointError(
                f"a tensor of {count} values reaches past its storage"
            )
        part: torch.Tensor = values[self.offset : self.offset + count]
        return part.view(torch.Size(self.size)).clone()


class StandIn:
    """An inert object: what the file gives it are its `attributes`, or its `tensor`."""

    def __init__(self, *given: Any) -> None:
        self.tensor = given[0] if given else None
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        # An object that was made without a call has no attributes yet.
        self.tensor = vars(self).get("tensor")
        self.attributes = dict(state) if isinstance(state, dict) else {}


def is_official(path: str | Path) -> bool:
    """Whether a file looks like one of the first code; only bytes are compared."""

    def named(data: bytes) -> bool:
        # Whole modules, or the options as argparse has them beside state dicts.
        return b"frame_predictor" in data and (
            b"models.lstm" in data or b"argparse" in data
        )

    if not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(2**20)
        if head.startswith(_LEGACY):
            return named(head)
        if not head.startswith(_ZIP):
            return False
        with zipfile.ZipFile(path) as archive:
            return named(_pickle_of(archive)[1])
    # What a damaged archive can make Python raise has no common class.
    except Exception:
        return False


def read_content(path: str | Path) -> Any:
    """What the file holds, in dicts, plain values and `StandIn` objects.

    Raises
    ------
    CheckpointError
        When it is no such container, is cut short, or names what is not known.
    """
    if not Path(path).is_file():  # a pipe would be waited for
        raise CheckpointError(f"no file {path}; give one of the first code")
    try:
        with open(path, "rb") as file:
            head = file.read(len(_LEGACY))
            file.seek(0)
            if head == _LEGACY:
                return _read_legacy(file)
            if head.startswith(_ZIP):
                return _read_zip(file)
        raise CheckpointError("it is no file of torch.save")
    except _Refused as error:
        raise CheckpointError(
            f"{path} holds {error}, which no file of the first code does; nothing was "
            "run: get it from another source"
        ) from None
    # What a damaged pickle or archive can make Python raise has no common class.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"{path} is no readable file of the first code ({reason}); it is truncated "
            "or of another program"
        ) from error


def tensors_of(
    part: Any, *, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a module or of a state dict, as ``state_dict`` orders them.

    Parameters
    ----------
    part : StandIn or dict
        From `read_content`.
    prefix : str
        Before each name.
    depth : int
        Modules around this one.

    Raises
    ------
    CheckpointError
        When it is neither.
    """
    if isinstance(part, dict):
        own: dict[str, Any] = part
        inner: dict[str, Any] = {}
    elif isinstance(part, StandIn) and depth < _DEEPEST:
        groups = [part.attributes.get(k) or {} for k in ("_parameters", "_buffers")]
        own = {name: value for group in groups for name, value in group.items()}
        inner = part.attributes.get("_modules") or {}
    else:
        raise CheckpointError(f"{prefix or 'it'} is no module")
    for name, value in own.items():
        if value is None:
            continue
        while isinstance(value, StandIn):
            value = value.tensor
        if not isinstance(value, _Tensor):
            raise CheckpointError(f"{prefix}{name} is no tensor")
        yield f"{prefix}{name}", value.read()
    for name, module in inner.items():
        yield from tensors_of(module, prefix=f"{prefix}{name}.", depth=depth + 1)


def _names() -> dict[tuple[str, str], Any]:
    """Everything that a file may name; made again for each, so that none marks them."""
    known: dict[tuple[str, str], Any] = {
        (module, name): type(name, (StandIn,), {})
        for module, names in _KNOWN.items()
        for name in names.split()
    }
    wrapper = type("Variable", (StandIn,), {})
    known["torch.nn.parameter", "Parameter"] = wrapper
    known["torch.autograd.variable", "Variable"] = wrapper
    known["torch._utils", "_rebuild_parameter"] = wrapper
    tensor = type("Tensor", (_Rebuilt,), {})
    known["torch._utils", "_rebuild_tensor"] = tensor
    known["torch._utils", "_rebuild_tensor_v2"] = tensor
    known["collections", "OrderedDict"] = OrderedDict
    known["__builtin__", "set"] = known["builtins", "set"] = set
    for module in ("torch", "torch.cuda"):
        for name in _DTYPES:
            known[module, name] = type(name, (StandIn,), {})
    return known


class _Rebuilt(_Tensor):
    """As PyTorch rebuilds a tensor, with arguments that do not matter here."""

    def __init__(
        self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any
    ) -> None:
        if not isinstance(storage, _Storage):
            raise _Refused("a tensor without a storage")
        super().__init__(storage, offset, size, stride)


# The unpickler in Python: the one in C asks for memory by numbers in the file.
class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined,misc,unused-ignore]  # not declared in all versions
    def __init__(self, file: Any) -> None:
        # Texts of Python 2 are bytes; sources among them may be in any encoding.
        super().__init__(file, encoding="utf-8", errors="replace")
        self._names = _names()
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._names[module, name]
        except KeyError:
            raise _Refused(f"the name {ascii(f'{module}.{name}')[1:-1][:80]}") from None

    def persistent_load(self, record: Any) -> Any:
        kind, cls, *rest = record
        if kind == "module":  # with its source: nobody looks at it
            return cls
        if kind != "storage" or getattr(cls, "__name__", "") not in _DTYPES:
            raise _Refused("a record of an unknown kind")
        key, _location, count = rest[:3]
        if len(rest) > 3 and rest[3] is not None:
            raise _Refused("a view of a storage")
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise _Refused("a storage without a size")
        storage = _Storage(_DTYPES[cls.__name__], count)
        known = self.storages.setdefault(key, storage)
        if (known.dtype, known.count) != (storage.dtype, storage.count):
            raise _Refused("two sizes of one storage")
        return known


def _read_legacy(file: BinaryIO) -> Any:
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    _magic, version, system = (_Unpickler(file).load() for _ in range(3))
    if version != _LEGACY_VERSION or not system["little_endian"]:
        raise CheckpointError(f"version {version!r}, or of another byte order")
    unpickler = _Unpickler(file)
    content = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        count = int.from_bytes(file.read(8), "little", signed=True)
        length = storage.count * storage.dtype.itemsize
        if count != storage.count or length > end - file.tell():
            raise CheckpointError(f"storage {key} is cut short")
        storage.values = _values(file.read(length), storage)
    return _whole(content, unpickler)


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        folder, data = _pickle_of(archive)
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise CheckpointError("of another byte order")
        unpickler = _Unpickler(io.BytesIO(data))
        content = unpickler.load()
        for key, storage in unpickler.storages.items():
            info = archive.getinfo(f"{folder}data/{key}")
            if info.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"storage {key} is compressed")
            # The archive's checksum is verified.
            storage.values = _values(archive.read(info), storage)
    return _whole(content, unpickler)


def _pickle_of(archive: zipfile.ZipFile) -> tuple[str, bytes]:
    """The archive's folder, and its pickle."""
    found = [i for i in archive.infolist() if i.filename.endswith("/data.pkl")]
    if len(found) != 1 or found[0].file_size > _LARGEST_PICKLE:
        raise CheckpointError("it holds no data.pkl, or too large a one")
    return found[0].filename.removesuffix("data.pkl"), archive.read(found[0])


def _values(data: bytes, storage: _Storage) -> torch.Tensor:
    if len(data) != storage.count * storage.dtype.itemsize:
        raise CheckpointError("a storage is cut short")
    if not data:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(data), dtype=storage.dtype)


def _whole(content: Any, unpickler: _Unpickler) -> Any:
    if any(storage.values is None for storage in unpickler.storages.values()):
        raise CheckpointError("a storage is missing")
    return content
