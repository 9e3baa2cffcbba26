"""VP2's two forms, from its description."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from svg_pyro.errors import FramesError
from svg_pyro.planning import ActionRange, VP2Model


class Adds:
    """Each frame is the one before it plus the action that leads to it."""

    svg = SimpleNamespace(config=SimpleNamespace(n_past=2))

    def __init__(self):
        self.contexts = []

    def predict(self, context, horizon, num_samples=1, *, actions):
        self.contexts.append(context)
        steps = actions[:, -horizon:].cumsum(1).sum(-1)[..., None, None, None]
        return (context[:, -1:] + steps)[None]


def batch(rows=3, steps=6):
    generator = np.random.default_rng(0)
    video = generator.random((rows, 2, 8, 9, 3)).astype(np.float32)
    actions = 0.01 * generator.random((rows, steps, 4)).astype(np.float32)
    return {"video": video, "actions": actions}


def test_arrays_come_back_as_arrays_with_a_frame_for_each_action():
    given = batch()
    model = VP2Model(Adds())
    rgb = model(given)["rgb"]
    assert (model.num_context, model.base_prediction_modality) == (2, "rgb")
    assert isinstance(rgb, np.ndarray) and rgb.shape == (3, 6, 8, 9, 3)
    # The context's own frames first, but the one that no action leads to.
    np.testing.assert_array_equal(rgb[:, 0], given["video"][:, 1])
    # Frame i + 1 follows action i: action 0 led to the context's second frame.
    for i in range(1, 6):
        step = given["actions"][:, 1 : i + 1].sum((1, 2))
        np.testing.assert_allclose(
            rgb[:, i], given["video"][:, 1] + step[:, None, None, None], rtol=1e-5
        )


def test_tensors_come_back_as_tensors_channels_first():
    given = batch()
    tensors = {
        "video": torch.from_numpy(given["video"]).movedim(-1, 2),
        "actions": torch.from_numpy(given["actions"]),
    }
    rgb = VP2Model(Adds())(tensors)["rgb"]
    arrays = VP2Model(Adds())(given)["rgb"]
    assert rgb.shape == (3, 6, 3, 8, 9)
    np.testing.assert_array_equal(rgb.movedim(2, -1).numpy(), arrays)


def test_bytes_are_taken_as_shares_of_255():
    given = batch()
    given["video"] = (given["video"] * 255).round().astype(np.uint8)
    rgb = VP2Model(Adds())(given)["rgb"]
    np.testing.assert_allclose(rgb[:, 0], given["video"][:, 1] / 255, rtol=1e-6)


def test_rows_of_one_context_are_predicted_from_one_copy_of_it():
    given, sampler = batch(), Adds()
    given["video"] = np.broadcast_to(given["video"][:1], given["video"].shape)
    rgb = VP2Model(sampler)(given)["rgb"]
    assert len(sampler.contexts[0]) == 1 and rgb.shape[0] == 3
    one = {"video": given["video"][:1], "actions": given["actions"]}
    np.testing.assert_array_equal(rgb, VP2Model(Adds())(one)["rgb"])


def test_frames_after_the_context_are_not_looked_at():
    given = batch()
    longer = np.concatenate([given["video"], 0.5 + 0 * given["video"]], 1)
    np.testing.assert_array_equal(
        VP2Model(Adds())({**given, "video": longer})["rgb"],
        VP2Model(Adds())(given)["rgb"],
    )


def test_actions_are_brought_from_minus_one_to_one_to_the_datas_units():
    given = batch(1)
    given["actions"] = np.array([[[-1.0, 0.0], [1.0, 0.5]]], np.float32)
    model = VP2Model(Adds(), actions=ActionRange((0.0, 0.0), (0.2, 0.4)))
    step = model(given)["rgb"][0, 1] - given["video"][0, 1]
    np.testing.assert_allclose(step, 0.2 + 0.3, rtol=1e-5)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"video": np.zeros((3, 1, 8, 9, 3), np.float32)}, "1 frames"),
        ({"actions": np.zeros((3, 0, 4), np.float32)}, "0 actions"),
        ({"actions": np.zeros((2, 6, 4), np.float32)}, "3 videos and 2 rows"),
        ({"video": np.zeros((2, 8, 9, 3), np.float32)}, "4 dimensions"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, words):
    with pytest.raises(FramesError, match=words):
        VP2Model(Adds())({**batch(), **change})


def test_missing_entries_and_gradients_of_arrays_are_refused():
    with pytest.raises(FramesError, match="no \\['actions'\\]"):
        VP2Model(Adds())({"video": batch()["video"]})
    with pytest.raises(FramesError, match="no gradients"):
        VP2Model(Adds())(batch(), grad_enabled=True)
