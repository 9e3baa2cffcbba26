"""What a run cannot be given, and what it cannot go on from."""

from pathlib import Path

import torch

from svg_pyro.config import TrainingConfig
from svg_pyro.data.base import ClipDataset, name_of
from svg_pyro.data.batches import check_class, check_first_clip
from svg_pyro.errors import DataError, TrainingError
from svg_pyro.model.checked import check_model
from svg_pyro.model.svg import SVG
from svg_pyro.training.log import Records
from svg_pyro.util import distributed
from svg_pyro.util.reports import report_once


def check_data(data: ClipDataset, svg: SVG) -> None:
    """Refuse clips that a model cannot be trained on.

    Parameters
    ----------
    data : ClipDataset
        Training clips.
    svg : SVG
        The model.

    Raises
    ------
    DataError
        If it is no data set, there are no clips, they are of other frames or actions
        than the model's, or the first is not what the set promises.
    ConfigError
        If `svg` is no model.
    """
    check_model(svg)
    check_class(data)
    have, want = data.action_dim, svg.config.action_dim
    if have != want:
        raise DataError(
            f"the data's action_dim is {have}, the model's {want}; build the model "
            f"with action_dim={have}",
            advice=("action_dim",),
        )
    shape, taken = tuple(data.frame_shape), tuple(svg.frame_shape)
    if shape == taken:
        check_first_clip(data)
        return
    square = svg.config.channels, svg.config.image_size, svg.config.image_size
    for name in ("channels", "image_size"):
        have, want = getattr(data, name), getattr(svg.config, name)
        # A backbone of another shape of frames has its own.
        if have != want and taken == square:
            raise DataError(
                f"the data's {name} is {have}, the model's {want}; "
                f"build the model with {name}={have}",
                advice=(name,),
            )
    raise DataError(
        f"the data's frames are {shape} (C, H, W), the model's encoder takes {taken}; "
        "give frames of that shape, or another backbone"
    )


def report_clip_length(data: ClipDataset, config: TrainingConfig) -> None:
    """Say it where clips are of another length than the configuration's: theirs counts.

    Parameters
    ----------
    data : ClipDataset
        Training clips.
    config : TrainingConfig
        Of the run.
    """
    if data.n_frames != config.n_frames:
        report_once(
            f"n_frames is {config.n_frames}, but the data set gives clips of "
            f"{data.n_frames} frames: those are trained on"
        )


def check_finite(records: Records, data: ClipDataset, checkpoint: Path) -> None:
    """Raise in every process if the loss is not finite in any.

    Parameters
    ----------
    records : Records
        Of the steps since the last report, in this process.
    data : ClipDataset
        Names the clips.
    checkpoint : Path
        Of the run, for the message.

    Raises
    ------
    TrainingError
        If the loss of a step is not finite.
    """
    record = records.first_not_finite()
    if not distributed.true_in_any(record is not None):
        return
    if record is None:
        raise TrainingError("the loss is not finite in another process; see there")
    finite = (record.nll + record.kl).isfinite().tolist()
    bad = [c for c, fine in zip(record.clips, finite, strict=True) if not fine]
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    raise TrainingError(
        f"the loss is not finite at step {record.step} ({name_of(data, bad[0])}"
        f"{more} of {len(record.clips)} clips); {_last_good(checkpoint)}; lower "
        "lr, set clip_norm, or look at the clip",
        advice=("lr", "clip_norm"),
    )


def check_weights(svg: SVG, step: int, checkpoint: Path) -> None:
    """Raise if a weight is not finite: the last step's loss may still have been.

    Parameters
    ----------
    svg : SVG
        The model.
    step : int
        Steps done, for the message.
    checkpoint : Path
        Of the run, for the message.

    Raises
    ------
    TrainingError
        If a weight is not finite.
    """
    for name, weight in svg.named_parameters():
        if not weight.isfinite().all():
            raise TrainingError(
                f"{name} is not finite after step {step}; "
                f"{_last_good(checkpoint)}; lower lr, or set clip_norm",
                advice=("lr", "clip_norm"),
            )


def out_of_memory(
    config: TrainingConfig, device: torch.device, step: int, checkpoint: Path
) -> TrainingError:
    """What to say when memory is out.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    device : torch.device
        That trains.
    step : int
        Steps done.
    checkpoint : Path
        Of the run.
    """
    smaller = f"raise accumulate (now {config.accumulate})"
    if not config.checkpoint_activations:
        smaller += ", switch checkpoint_activations on"
    return TrainingError(
        f"out of memory on {device} at step {step}; {smaller}, or "
        f"lower batch_size (now {config.batch_size}); {_last_good(checkpoint)}",
        advice=("accumulate", "checkpoint_activations", "batch_size"),
    )


def _last_good(checkpoint: Path) -> str:
    if checkpoint.exists():
        return f"the last good state is {checkpoint}"
    return "no checkpoint had been saved"
