"""Distances between videos."""


def clip_mse(prediction, truth):
    """Mean squared error over a clip's frames, channels and pixels.

    Parameters
    ----------
    prediction, truth : torch.Tensor
        Shapes ``(*batch, T, C, H, W)`` that broadcast, values in [0, 1].

    Returns
    -------
    torch.Tensor
        Shape ``(*batch,)``.
    """
    return (prediction - truth).square().flatten(-4).mean(-1)


def psnr(mse):
    """Peak signal-to-noise ratio in dB of a mean squared error on values in [0, 1].

    Equal frames have an infinite one; of a clip's error it is finite as soon as one
    pixel of one frame differs.
    """
    return -10 * mse.log10()
