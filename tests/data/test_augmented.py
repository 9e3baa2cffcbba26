"""Augmented clips: what may change, what may not, and of what it is a function."""

import pytest
import torch

from svg_pyro.data import Augmented, ClipDataset
from svg_pyro.errors import DataError


class Noise(ClipDataset):
    """Two clips of one random frame each: every channel has every level, by chance."""

    n_frames, channels, image_size, action_dim = 4, 3, 32, 0

    def __len__(self):
        return 2

    def clip(self, index, epoch=0):
        drawn = torch.Generator().manual_seed(index)
        frame = torch.randint(256, (1, 3, 32, 32), generator=drawn, dtype=torch.uint8)
        return frame.repeat(4, 1, 1, 1)


class WithActions(Noise):
    action_dim = 2


def test_a_clip_is_mirrored_and_each_channel_is_one_map_of_another():
    plain, data = Noise(), Augmented(Noise(), seed=3)
    mirrored, orders = set(), set()
    for epoch in range(30):
        clip, changed = plain.clip(1), data.clip(1, epoch)
        assert changed.shape == clip.shape and changed.dtype == torch.uint8
        # All frames of a clip are changed alike.
        assert (changed == changed[:1]).all()
        found = []
        for flipped in (False, True):
            whole = clip.flip(-1) if flipped else clip
            for channel in range(3):
                sources = [
                    c for c in range(3) if is_map(whole[0, c], changed[0, channel])
                ]
                found += [(flipped, channel, source) for source in sources]
        kinds = {flipped for flipped, _, _ in found}
        assert len(kinds) == 1 and {channel for _, channel, _ in found} == {0, 1, 2}
        mirrored |= kinds
        orders.add(tuple(source for _, _, source in sorted(found)[:3]))
    assert mirrored == {False, True} and len(orders) > 2


def is_map(source, changed):
    """Whether equal levels stay equal, and larger ones do not become smaller."""
    levels = source.flatten().long()
    order = levels.argsort()
    steps = changed.flatten().long()[order].diff()
    same = levels[order].diff() == 0
    return bool((steps >= 0).all() and (steps[same] == 0).all())


def test_a_change_is_a_function_of_seed_epoch_and_index():
    one, again, other = (Augmented(Noise(), seed) for seed in (0, 0, 1))
    assert torch.equal(one.clip(0, 5), again.clip(0, 5))
    for different in (one.clip(1, 5), one.clip(0, 6), other.clip(0, 5)):
        assert not torch.equal(one.clip(0, 5), different)
    assert one.fingerprint() == again.fingerprint()
    assert len({d.fingerprint() for d in (one, other, Noise())}) == 3
    assert (len(one), one.name(1), one.frame_shape) == (2, "clip 1", (3, 32, 32))


def test_clips_with_actions_are_refused():
    with pytest.raises(DataError, match="clips with actions cannot be mirrored"):
        Augmented(WithActions())
