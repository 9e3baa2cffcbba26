"""The simulated pushing set: its physics, its pictures, its files."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from svg_pyro.data import BairPush, make_simulated_push
from svg_pyro.data.simulated_push.dataset import simulated_clip
from svg_pyro.data.simulated_push.renderer import project, render
from svg_pyro.data.simulated_push.shapes import MISS, Box, Capsule, Cylinder
from svg_pyro.data.simulated_push.simulator import simulate
from svg_pyro.data.simulated_push.world import (
    CLEAR,
    GRIPPER_RADIUS,
    HALF_DEPTH,
    HALF_WIDTH,
    LOW,
    Block,
)
from svg_pyro.errors import DataError

SEEDS = range(40)


@pytest.fixture(scope="module")
def clips():
    return [simulate(seed) for seed in SEEDS]


def outline(block, poses):
    """Extreme points of a block seen from above, shape (T, K, 2)."""
    if block.kind != "box":
        angles = np.arange(4) * np.pi / 2
        return poses[:, None, :2] + block.radius * np.stack(
            [np.cos(angles), np.sin(angles)], -1
        )
    corners = np.array([(x, y) for x in (-1, 1) for y in (-1, 1)]) * block.half[:2]
    cos, sin = np.cos(poses[:, 2, None]), np.sin(poses[:, 2, None])
    x, y = (
        cos * corners[:, 0] - sin * corners[:, 1],
        sin * corners[:, 0] + cos * corners[:, 1],
    )
    return poses[:, None, :2] + np.stack([x, y], -1)


def overlap(block, pose, gripper):
    """How deep the gripper's disc is in a block."""
    offset = gripper[:2] - pose[:2]
    if block.kind != "box":
        return GRIPPER_RADIUS + block.radius - np.hypot(*offset)
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    local = np.array(
        [cos * offset[0] + sin * offset[1], cos * offset[1] - sin * offset[0]]
    )
    away = np.maximum(np.abs(local) - block.half[:2], 0)
    return GRIPPER_RADIUS - np.hypot(*away)


def path_distance(point, start, end):
    way = end - start
    share = np.clip((point - start) @ way / max(way @ way, 1e-12), 0, 1)
    return np.hypot(*(start + share * way - point))


def test_shapes_and_ranges(clips):
    for clip in clips:
        n = len(clip.blocks)
        assert 3 <= n <= 8
        assert clip.poses.shape == (30, n, 3)
        assert clip.gripper.shape == (30, 4)
        assert clip.actions.shape == (30, 4) and clip.actions.dtype == np.float32
        for array in (clip.poses, clip.gripper, clip.actions):
            assert np.isfinite(array).all()
        assert len({b.colour for b in clip.blocks}) == n


def test_nothing_leaves_the_bin(clips):
    slack = 0.006  # a fifth of a pixel of overlap under pressure
    for clip in clips:
        for i, block in enumerate(clip.blocks):
            points = np.abs(outline(block, clip.poses[:, i]))
            assert points[..., 0].max() <= HALF_WIDTH + slack
            assert points[..., 1].max() <= HALF_DEPTH + slack
        assert np.abs(clip.gripper[:, 0]).max() <= HALF_WIDTH - GRIPPER_RADIUS
        assert np.abs(clip.gripper[:, 1]).max() <= HALF_DEPTH - GRIPPER_RADIUS


def test_the_fingers_do_not_enter_blocks(clips):
    depths = [
        overlap(b, pose, grip)
        for clip in clips
        for poses, grip in zip(clip.poses, clip.gripper, strict=True)
        if grip[2] < CLEAR
        for b, pose in zip(clip.blocks, poses, strict=True)
    ]
    assert max(depths) < 0.01


def test_a_lifted_gripper_moves_nothing():
    for seed in SEEDS:
        clip = simulate(seed, always_lifted=True)
        assert (clip.poses == clip.poses[0]).all()
        assert (clip.gripper[:, 2] > CLEAR).all()
        assert np.ptp(clip.gripper[:, :2], axis=0).max() > 0.05


def test_blocks_move_only_when_touched(clips):
    moved_frames = 0
    for clip in clips:
        moved = (np.diff(clip.poses, axis=0) != 0).any(-1)
        for t, i in np.argwhere(moved):
            here, block = clip.poses[t, i], clip.blocks[i]
            start, end = clip.gripper[t], clip.gripper[t + 1]
            gap = (
                path_distance(here[:2], start[:2], end[:2])
                - block.radius
                - GRIPPER_RADIUS
            )
            touched = gap < 0.03 and min(start[2], end[2]) < CLEAR
            for j in np.flatnonzero(moved[max(t - 1, 0) : t + 1].any(0)):
                between = np.hypot(*(here - clip.poses[t, j])[:2])
                reach = block.radius + clip.blocks[j].radius
                touched |= j != i and between < reach + 0.12
            coasting = t > 0 and moved[t - 1, i]
            assert touched or coasting
            moved_frames += 1
    assert moved_frames > 200


def test_blocks_stop_soon_after_the_push(clips):
    for clip in clips:
        step = np.hypot(*np.moveaxis(np.diff(clip.poses[..., :2], axis=0), -1, 0))
        for t in range(1, 29):
            for i, block in enumerate(clip.blocks):
                near = clip.gripper[max(t - 1, 0) : t + 2]
                gap = np.hypot(*(near[:, :2] - clip.poses[t, i, :2]).T).min()
                others = np.delete(step[max(t - 2, 0) : t + 1], i, axis=1)
                if gap > block.radius + GRIPPER_RADIUS + 0.12 and not others.any():
                    assert step[t, i] < 0.02


def test_most_clips_push_blocks_and_the_arm_moves_visibly(clips):
    far = [np.hypot(*(c.poses[-1] - c.poses[0])[:, :2].T).max() for c in clips]
    assert np.mean(np.array(far) > 0.05) > 0.8
    steps, turns = [], []
    for seed, clip in zip(SEEDS, clips, strict=True):
        tips = project(clip.gripper[:, :3], seed)
        assert (tips > 0).all() and (tips < 64).all()
        steps.append(np.hypot(*np.diff(tips, axis=0).T))
        turns.append(np.sum((np.diff(clip.actions[:, :2], axis=0) != 0).any(1)))
    assert np.median(steps) > 2.0
    assert np.mean(np.array(steps) > 1.0) > 0.8
    assert 3 < np.mean(turns) < 15  # commands hold for several frames


def test_the_gripper_follows_its_commands(clips):
    for clip in clips:
        done = np.diff(clip.gripper[:, :2], axis=0)[1:].ravel()
        asked = clip.actions[1:-1, :2].ravel()
        assert np.corrcoef(done, asked)[0, 1] > 0.7
        assert (clip.gripper[:, 2] >= LOW).all()


def test_a_clip_is_a_function_of_its_seed():
    one, two, other = simulate([3, 0, 7]), simulate([3, 0, 7]), simulate([3, 1, 7])
    assert (one.poses == two.poses).all() and (one.actions == two.actions).all()
    assert one.blocks == two.blocks != other.blocks
    assert np.array_equal(render(one, 5), render(two, 5))
    assert not np.array_equal(render(one, 5), render(one, 6))


def signed_distance(kind, points):
    """Distance fields of the three solids below, negative inside."""
    if kind == "capsule":
        start, way = np.array([-0.3, 0.1, 0.2]), np.array([0.5, 0.2, 0.4])
        share = np.clip((points - start) @ way / (way @ way), 0, 1)
        return np.linalg.norm(points - start - share[..., None] * way, axis=-1) - 0.15
    x, y, z = np.moveaxis(points - [0.1, -0.2, 0.3], -1, 0)
    if kind == "cylinder":
        return np.maximum(np.hypot(x, y) - 0.3, np.abs(z) - 0.2)
    u, v = np.cos(0.7) * x + np.sin(0.7) * y, np.cos(0.7) * y - np.sin(0.7) * x
    return np.maximum.reduce([np.abs(u) - 0.3, np.abs(v) - 0.2, np.abs(z) - 0.25])


@pytest.mark.parametrize("kind", ["box", "cylinder", "capsule"])
def test_rays_meet_the_solids(kind):
    """Against marching along the ray through an independent distance field."""
    shape = {
        "box": Box((0.1, -0.2, 0.3), (0.3, 0.2, 0.25), 0.7, (1, 1, 1), 0),
        "cylinder": Cylinder((0.1, -0.2, 0.3), 0.3, 0.2, (1, 1, 1), 0),
        "capsule": Capsule(
            (-0.3, 0.1, 0.2), (0.2, 0.3, 0.6), 0.15, (1, 1, 1), 0, gloss=0
        ),
    }[kind]
    rng = np.random.default_rng(1)
    rays = rng.normal(size=(3, 2000))
    rays = (rays / np.linalg.norm(rays, axis=0)).astype(np.float32)
    origin = (-1.5 * rays + rng.normal(size=(3, 2000)) * 0.2).astype(np.float32)
    far = shape.hit(origin, rays)
    steps = np.linspace(0, 4, 1500)
    along = origin.T[:, None] + steps[:, None] * rays.T[:, None]
    inside = signed_distance(kind, along) < 0
    assert np.mean((far < MISS) == inside.any(1)) > 0.985  # but for grazing rays
    both = (far < MISS) & inside.any(1)
    assert both.sum() > 300
    assert np.quantile(np.abs(far - steps[inside.argmax(1)])[both], 0.98) < 0.004
    points = (origin + far * rays)[:, both]
    normal = shape.normal(points)
    assert np.allclose(np.linalg.norm(normal, axis=0), 1, atol=1e-3)
    assert (np.sum(normal * rays[:, both], axis=0) < 1e-3).all()  # it faces the viewer
    low, high = shape.corners().min((1, 2)), shape.corners().max((1, 2))
    assert (points >= low[:, None] - 1e-3).all() and (
        points <= high[:, None] + 1e-3
    ).all()


@pytest.mark.parametrize("camera", ["aux1", "main"])
def test_the_arm_is_drawn_where_the_gripper_is(camera):
    """What changes between two frames of a still world surrounds the fingers."""
    for seed in range(4):
        clip = simulate(seed, 12, always_lifted=True)
        frames = render(clip, seed, camera).astype(int)
        assert frames.shape == (12, 64, 64, 3)
        tips = project(clip.gripper[:, :3] + [0, 0, 0.085], seed, camera)
        dark = frames.sum(-1) < 140
        for t, (x, y) in enumerate(tips):
            if not (3 < x < 61 and 3 < y < 61):
                continue
            rows, columns = slice(int(y) - 3, int(y) + 4), slice(int(x) - 3, int(x) + 4)
            assert dark[t, rows, columns].sum() >= 4  # the black palm
        changed = (np.abs(np.diff(frames, axis=0)).sum(-1) > 0).any(0)
        assert changed.any() and not changed.all()


def test_only_what_moves_changes_the_picture():
    clip = simulate(0, 4, always_lifted=True)
    clip.gripper[:] = clip.gripper[0]
    frames = render(clip, 0)
    assert (frames == frames[0]).all()
    assert frames.std() > 20


def test_what_is_nearer_hides_what_is_behind(clips):
    """Whatever the order in which the blocks are drawn."""
    for clip in clips[:6]:
        turned = replace(clip, blocks=clip.blocks[::-1], poses=clip.poses[:, ::-1])
        assert np.array_equal(render(clip, 1), render(turned, 1))


def test_a_block_throws_its_shadow_away_from_the_sun():
    bare = simulate(0, 1, always_lifted=True)
    bare.gripper[0, :2] = -0.4, -0.3
    pillar = Block("cylinder", (0.03, 0.03, 0.15), (0.1, 0.7, 0.1))
    bare = replace(bare, blocks=(), poses=np.zeros((1, 0, 3)))
    full = replace(bare, blocks=(pillar,), poses=np.zeros((1, 1, 3)))
    change = render(full, 3).astype(int)[0].sum(-1) - render(bare, 3).astype(int)[
        0
    ].sum(-1)
    shadow, sunny = project(np.array([[0.08, 0.058, 0], [-0.08, -0.058, 0]]), 3).astype(
        int
    )
    assert change[shadow[1], shadow[0]] < -60
    assert change[sunny[1], sunny[0]] == 0


def files_of(root):
    return {
        p.relative_to(root): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.mark.slow
def test_same_bytes_for_any_number_of_workers(tmp_path):
    sizes = {"n_train": 3, "n_test": 2, "n_frames": 4}
    one = make_simulated_push(tmp_path / "one", workers=1, **sizes)
    two = make_simulated_push(tmp_path / "two", workers=2, **sizes)
    assert files_of(one) == files_of(two)
    train, test = (BairPush(one, split, n_frames=4) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    clips = [d.clip(i).numpy().tobytes() for d in (train, test) for i in range(len(d))]
    assert len(set(clips)) == 5


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = {sys.path}\n"
        "print('once')\n"
        "from svg_pyro.data import make_simulated_push\n"
        "make_simulated_push('set', 2, 1, n_frames=2, workers=2)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
    assert len(list((tmp_path / "set").rglob("*.tfrecords"))) == 2


def test_the_reader_gives_what_was_simulated(tmp_path):
    root = make_simulated_push(
        tmp_path, 1, 1, n_frames=5, camera=("aux1", "main"), seed=4, workers=1
    )
    clip = simulate([4, 0, 0], 5)
    for camera in ("aux1", "main"):
        got = BairPush(root, n_frames=5, camera=camera).clip_with_actions(0)
        expected = render(clip, [4, 0, 0], camera).transpose(0, 3, 1, 2)
        assert np.array_equal(got["frames"].numpy(), expected)
        assert np.array_equal(got["actions"].numpy(), clip.actions)
        assert np.allclose(got["endeffector"].numpy(), clip.gripper[:, :3])


def test_an_action_leads_from_its_frame_to_the_next(tmp_path):
    """The hand's way between two frames follows the action of the first of them."""
    root = make_simulated_push(tmp_path, 8, 1, n_frames=12, seed=4, workers=1)
    data = BairPush(root, n_frames=12, actions=True)
    assert data.action_dim == 4 and BairPush(root, n_frames=12).action_dim == 0
    actions = torch.stack([data.actions(i) for i in range(8)])
    assert actions.shape == (8, 11, 4)
    places = torch.stack([data.clip_with_actions(i)["endeffector"] for i in range(8)])
    ways = (places[:, 1:] - places[:, :-1])[..., :2].flatten()

    def agreement(told):
        return torch.corrcoef(torch.stack([told.flatten(), ways]))[0, 1].item()

    whole = torch.stack([data.clip_with_actions(i)["actions"] for i in range(8)])
    found = agreement(actions[..., :2])
    assert found > 0.9
    assert found > agreement(whole[:, 1:, :2]) + 0.05  # those of a frame later


def test_complete_files_are_kept_and_others_made_anew(tmp_path, monkeypatch):
    def make(**changes):
        sizes = {"n_train": 4, "n_test": 1, "n_frames": 2, "workers": 1}
        return files_of(make_simulated_push(tmp_path, **sizes | changes))

    monkeypatch.setattr("svg_pyro.data.simulated_push.dataset._CLIPS_PER_FILE", 2)
    first = make()
    assert len(first) == 4
    lost = next(p for p in first if p.name == "traj_2_to_3.tfrecords")
    (tmp_path / lost).unlink()
    times = {p: (tmp_path / p).stat().st_mtime_ns for p in first if p != lost}
    assert make() == first
    assert times == {p: (tmp_path / p).stat().st_mtime_ns for p in times}
    other = make(seed=1)
    assert other.keys() == first.keys()
    for path, data in other.items():
        assert data != first[path]
        if path.suffix == ".json":
            assert json.loads(data)["seed"] == 1
    assert len(make(seed=1, n_train=2)) == 3  # what is too much goes
    # But not of the test clips, which another run may be reading.
    more = make(seed=1, n_test=3)
    assert len(more) == 5
    assert make(seed=1, n_test=1) == more and make(seed=1, n_test=2) == more
    assert len(make(n_test=1)) == 4  # of another seed they are no use


def test_of_two_processes_one_waits_for_the_other(tmp_path):
    """As it was seen: four trainings begun at once, and one lost its files."""
    made = tmp_path / "made"
    code = (
        "import sys\n"
        "from svg_pyro.data import make_simulated_push\n"
        f"make_simulated_push({str(made)!r}, int(sys.argv[1]), 2, "
        "n_frames=2, workers=1)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    started = [
        subprocess.Popen([*command, n], stderr=subprocess.PIPE, text=True)
        for n in ("6", "5", "6")
    ]
    for process in started:
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    found = {p.name for p in made.rglob("*") if p.is_file()}
    assert found - {"traj_0_to_4.tfrecords", "traj_0_to_5.tfrecords"} == {
        "simulated_push.json",
        "traj_0_to_1.tfrecords",
    }
    assert len(found) == 3


def test_an_interrupted_run_keeps_what_is_complete(tmp_path, monkeypatch):
    from svg_pyro.data.simulated_push import dataset as simulated_push

    monkeypatch.setattr(simulated_push, "_CLIPS_PER_FILE", 1)
    real, calls = simulated_push.simulate, []

    def stops(seed, n_frames):
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(seed, n_frames)

    monkeypatch.setattr(simulated_push, "simulate", stops)
    with pytest.raises(KeyboardInterrupt):
        make_simulated_push(tmp_path, 4, 1, n_frames=2, workers=1)
    names = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert names == [
        "simulated_push.json",
        "traj_0_to_0.tfrecords",
        "traj_1_to_1.tfrecords",
    ]
    make_simulated_push(tmp_path, 4, 1, n_frames=2, workers=1)
    assert len(calls) == 3 + 3  # the one that broke off and the two never begun


def test_bad_arguments_and_foreign_files(tmp_path):
    with pytest.raises(
        DataError, match="n_test is 0; give a whole number of 1 or more"
    ):
        make_simulated_push(tmp_path, n_test=0)
    with pytest.raises(DataError, match="unknown camera"):
        make_simulated_push(tmp_path, camera="left")
    with pytest.raises(DataError, match=r"^simulated_clip: unknown camera"):
        simulated_clip(0, camera="left")
    with pytest.raises(DataError, match="seed is -1"):
        make_simulated_push(tmp_path, seed=-1)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be made"):
        make_simulated_push(tmp_path / "file", 1, 1)
    theirs = tmp_path / "softmotion30_44k" / "train" / "traj_0_to_255.tfrecords"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"the real set")
    with pytest.raises(DataError, match="was not made by make_simulated_push"):
        make_simulated_push(tmp_path, 1, 1, workers=1)
    assert theirs.read_bytes() == b"the real set"
