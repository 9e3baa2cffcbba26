"""Checks of video tensors: one line that names what is wrong and what to do."""

import torch

from svg_pyro.errors import FramesError


def check_frames(frames, config, shortest, values=True):
    """Refuse what the model cannot take.

    Parameters
    ----------
    frames : torch.Tensor
        To be ``(B, T, C, H, W)``, floating point, in [0, 1].
    config : SVGConfig
        Gives C, H and W.
    shortest : int
        Least T.
    values : bool
        Also look at the values, which on CUDA waits for the device.

    Raises
    ------
    FramesError
    """
    if not torch.is_tensor(frames):
        raise FramesError(
            f"frames are a {type(frames).__name__}; give a torch tensor (B, T, C, H, W)"
        )
    if frames.dim() != 5:
        raise FramesError(
            f"frames have {frames.dim()} dimensions, shape {tuple(frames.shape)}; "
            "give (B, T, C, H, W), for one clip clip[None]"
        )
    batch, steps, *image = frames.shape
    want = [config.channels, config.image_size, config.image_size]
    if image != want:
        raise FramesError(
            f"frames are {tuple(image)} (C, H, W), the model takes {tuple(want)}; "
            "resize them, or build the model with this image_size and channels"
        )
    if batch < 1 or steps < shortest:
        raise FramesError(
            f"frames hold {batch} clips of {steps} frames; "
            f"at least 1 clip of {shortest} frames is needed"
        )
    if not frames.is_floating_point():
        raise FramesError(
            f"frames are {frames.dtype}; give floats in [0, 1], "
            "for uint8 frames.float() / 255"
        )
    if values:
        _check_values(frames.detach())


def _check_values(frames):
    low, high = (v.item() for v in torch.aminmax(frames))
    # A NaN makes both NaN, so that it fails the comparison as well.
    if low >= 0 and high <= 1:
        return
    finite = frames.isfinite().flatten(2).all(2)
    if not finite.all():
        clip, frame = (~finite).nonzero()[0].tolist()
        raise FramesError(
            f"frames are not finite, first in clip {clip}, frame {frame}; "
            "mend or drop that clip"
        )
    raise FramesError(
        f"frames reach from {low:g} to {high:g}; scale them to [0, 1] "
        "(for 0..255 divide by 255)"
    )


def check_count(name, value, least=1):
    """Refuse a count that is not a whole number of at least `least`.

    Raises
    ------
    FramesError
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise FramesError(
            f"{name} is {value!r}; give a whole number of {least} or more"
        )
