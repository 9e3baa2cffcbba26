"""From data sets to batches: which clips a training step sees."""

import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from svg_pyro.data.base import ClipDataset, name_of, naming_clip, of_own_code
from svg_pyro.errors import ConfigError, DataError
from svg_pyro.util.checks import check_whole
from svg_pyro.util.reports import report_once
from svg_pyro.util.tensors import to_float


class Batch(NamedTuple):
    """Some clips.

    Attributes
    ----------
    frames : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``.
    indices : list of int
        The numbers of their videos.
    actions : torch.Tensor or None
        float32, ``(B, T - 1, A)``, of a data set that has them; see
        `ClipDataset.actions`.
    lengths : torch.Tensor or None
        int64, ``(B,)``, of a data set with `ClipDataset.min_frames`: how many of each
        clip's frames are real; those behind them, and their actions, are 0.
    """

    frames: torch.Tensor
    indices: list[int]
    actions: torch.Tensor | None = None
    lengths: torch.Tensor | None = None

    def first(self, count: int) -> "Batch":
        """The first clips: at most `count`."""
        frames, indices, *rest = self
        few = (None if x is None else x[:count] for x in rest)
        return Batch(frames[:count], indices[:count], *few)


def batch_of(
    dataset: ClipDataset,
    batch_size: int,
    step: int,
    seed: int = 0,
    *,
    rank: int = 0,
    ranks: int = 1,
) -> Batch:
    """The batch that training step `step` sees: a function of its arguments alone.

    Every epoch visits the videos once, in an order drawn from ``(seed, epoch)``. A
    batch may hold the end of one epoch and the start of the next; of a set smaller
    than a batch it holds several epochs, each of which may cut other windows.

    Parameters
    ----------
    dataset : ClipDataset
        The videos.
    batch_size : int
        Clips of all ranks together, a multiple of `ranks`.
    step : int
        Training step, counted from 0.
    seed : int
        Draws the order of every epoch.
    rank, ranks : int
        Of the processes that train together, each gets the clips `rank`,
        ``rank + ranks``, ... of the batch: no two get the same.

    Returns
    -------
    Batch
        Of ``batch_size // ranks`` clips.

    Raises
    ------
    DataError
        The data set is empty, or a clip is not what `ClipDataset` promises: uint8,
        of its frames, channels and size.
    ConfigError
        `batch_size` is no multiple of `ranks`.
    """
    check_class(dataset)
    if batch_size % ranks:
        raise ConfigError(
            f"a batch of {batch_size} clips cannot be shared by {ranks} processes; "
            f"make batch_size a multiple of {ranks}"
        )
    positions = range(step * batch_size + rank, (step + 1) * batch_size, ranks)
    places = [divmod(position, len(dataset)) for position in positions]
    drawn = [
        (epoch, _order(len(dataset), seed, epoch)[place]) for epoch, place in places
    ]
    return _collated(dataset, drawn)


def clips_of(dataset: ClipDataset, indices: Iterable[int], epoch: int = 0) -> Batch:
    """Some clips as they are in an epoch.

    Parameters
    ----------
    dataset : ClipDataset
        The videos.
    indices : iterable of int
        Their numbers; at least one.
    epoch : int
        Whose parts of the videos are read, and whose motions are drawn.

    Returns
    -------
    Batch
        Of the clips, in the order of `indices`.

    Raises
    ------
    DataError
        A clip, or its actions, are not what `ClipDataset` promises.
    """
    return _collated(dataset, [(epoch, index) for index in indices])


def _collated(dataset: ClipDataset, drawn: list[tuple[int, int]]) -> Batch:
    """The clips of some epochs and indices; shorter ones are padded with zeros."""
    clips = [_checked_clip(dataset, index, epoch) for epoch, index in drawn]
    actions, lengths = None, None
    if dataset.action_dim:
        actions = _padded(
            [
                _checked_actions(dataset, index, epoch, len(clip))
                for (epoch, index), clip in zip(drawn, clips, strict=True)
            ],
            dataset.n_frames - 1,
        )
    if dataset.min_frames is not None:
        lengths = torch.tensor([len(clip) for clip in clips])
    frames = _padded(clips, dataset.n_frames)
    return Batch(frames, [index for _, index in drawn], actions, lengths)


def _padded(parts: list[torch.Tensor], count: int) -> torch.Tensor:
    """Tensors of up to `count` rows as one of that many, with zeros behind."""
    if all(len(part) == count for part in parts):
        return torch.stack(parts)
    padded = parts[0].new_zeros(len(parts), count, *parts[0].shape[1:])
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    return padded


def in_parts(
    frames: torch.Tensor,
    actions: torch.Tensor | None,
    batch_size: int,
    device: torch.device,
    *,
    lengths: torch.Tensor | None = None,
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Clips as model and guide take them: frames, and what goes with them by name.

    Parameters
    ----------
    frames : torch.Tensor
        Clips, uint8 ``(B, T, C, H, W)``.
    actions : torch.Tensor or None
        Theirs, ``(B, T - 1, A)``.
    batch_size : int
        Clips at a time.
    device : torch.device
        Where they are put.
    lengths : torch.Tensor, optional
        Of padded clips, ``(B,)``, see `Batch`; they stay where they are.
    """
    for start in range(0, len(frames), batch_size):
        part = slice(start, start + batch_size)
        given = {}
        if actions is not None:
            given["actions"] = actions[part].to(device)
        if lengths is not None:
            given["lengths"] = lengths[part]
        yield to_float(frames[part], device), given


def _checked_actions(
    dataset: ClipDataset, index: int, epoch: int, n_frames: int
) -> torch.Tensor:
    """The actions of a clip of so many frames, if they keep the contract."""
    with naming_clip(dataset, index):
        actions = dataset.actions(index, epoch)
    wanted = n_frames - 1, dataset.action_dim
    if not isinstance(actions, torch.Tensor):
        what = f"a {type(actions).__name__}"
    elif not actions.is_floating_point() or actions.shape != wanted:
        what = f"{str(actions.dtype).removeprefix('torch.')} {tuple(actions.shape)}"
    elif not actions.isfinite().all():
        what = "not finite"
    else:
        return actions
    raise DataError(
        f"{type(dataset).__name__}: the actions of {name_of(dataset, index)} are "
        f"{what}; actions() must give finite floats (T - 1, action_dim) = {wanted}"
    )


def check_class(dataset: object) -> None:
    """Refuse what is no data set of clips, or an empty one.

    Parameters
    ----------
    dataset : object
        To be a `ClipDataset`.

    Raises
    ------
    DataError
        It is of another class, names no channels or no size of its frames, does not
        know its length, or holds no video.
    """
    if not isinstance(dataset, ClipDataset):
        raise DataError(
            f"the data are a {type(dataset).__name__}; give a svg_pyro.data.ClipDataset"
        )
    for name in ("channels", "image_size"):
        value = getattr(dataset, name, None)
        what = f"{type(dataset).__name__}: "
        check_whole(name, value, least=1, error=DataError, where=what)
    if _count(dataset) == 0:
        raise DataError("the data set is empty: it holds no video to train on")


def _count(dataset: ClipDataset) -> int:
    try:
        return len(dataset)
    except Exception as error:  # of a data set's own code
        raise of_own_code(dataset, "its length", error) from error


def check_first_clip(dataset: ClipDataset) -> None:
    """Refuse a set whose first clip is not what it promises; say it of a black one.

    Parameters
    ----------
    dataset : ClipDataset
        Not empty.

    Raises
    ------
    DataError
        It names no number of frames, or its first clip, or that clip's actions, are
        not what `ClipDataset` promises.
    """
    what = f"{type(dataset).__name__}: "
    for name in ("n_frames", "min_frames"):
        value = getattr(dataset, name, None)
        if name == "n_frames" or value is not None:
            check_whole(name, value, least=1, error=DataError, where=what)
    clip = clips_of(dataset, [0]).frames
    if clip.max() == 1:
        report_once(
            f"{what}{name_of(dataset, 0)} has no value above 1, which is black; values "
            "are 0 to 255"
        )


def _checked_clip(dataset: ClipDataset, index: int, epoch: int) -> torch.Tensor:
    """A clip, if it keeps the contract: floats would be divided by 255 in silence."""
    with naming_clip(dataset, index):
        clip = dataset.clip(index, epoch)
    wanted, least = (dataset.n_frames, *dataset.frame_shape), dataset.min_frames
    frames = f", or from {least} frames on" if least is not None else ""
    if not isinstance(clip, torch.Tensor):
        what = f"a {type(clip).__name__}"
    elif clip.layout != torch.strided or clip.device.type == "meta":
        what = "a tensor without values of its own"
    elif clip.dtype != torch.uint8 or not _fits(clip, wanted, least):
        what = f"{str(clip.dtype).removeprefix('torch.')} {tuple(clip.shape)}"
    else:
        return clip
    raise DataError(
        f"{type(dataset).__name__}: {name_of(dataset, index)} is {what}; clip() must "
        f"give a uint8 tensor (T, C, H, W) = {wanted}{frames}, values 0 to 255"
    )


def _fits(clip: torch.Tensor, wanted: tuple[int, ...], least: int | None) -> bool:
    """Whether a clip is of a shape, or of `least` frames and more."""
    few = wanted[0] if least is None else least
    return clip.shape[1:] == wanted[1:] and few <= len(clip) <= wanted[0]


@functools.lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch visits the videos."""
    order: list[int]
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return order
