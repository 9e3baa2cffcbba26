"""The pushing world as an environment, its state, its finders, and what acts in it."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from svg_pyro.data.simulated_push.finders import ColourFinder, find_hand
from svg_pyro.data.simulated_push.renderer import Scene, project, render
from svg_pyro.data.simulated_push.simulator import PushSimulator, simulate
from svg_pyro.data.simulated_push.tasks import FINDABLE, draw_task

gymnasium = pytest.importorskip("gymnasium")

from svg_pyro.commands.plan import _film  # noqa: E402
from svg_pyro.errors import ConfigError  # noqa: E402
from svg_pyro.planning import PlannerSettings  # noqa: E402
from svg_pyro.planning.comparison import Tasks  # noqa: E402
from svg_pyro.planning.controllers import (  # noqa: E402
    HandToBlock,
    Planned,
    Planning,
    RandomStrokes,
)
from svg_pyro.planning.episodes import run_episode  # noqa: E402
from svg_pyro.planning.push_env import SUCCESS_PIXELS, PushEnv, draw_now  # noqa: E402
from svg_pyro.planning.true_model import TruePush, block_of, hand_of  # noqa: E402


def start_of(clip, actions=()):
    simulator = PushSimulator(clip.blocks, clip.poses[0], clip.gripper[0][:2])
    for action in actions:
        simulator.step(action)
    return simulator


def test_a_simulator_that_replays_the_actions_repeats_the_clip():
    clip = simulate([5, 1], 12)
    simulator = start_of(clip)
    for t in range(11):
        # Recorded actions were rounded to float32.
        np.testing.assert_allclose(simulator.poses, clip.poses[t], atol=1e-4)
        np.testing.assert_allclose(simulator.gripper, clip.gripper[t], atol=1e-4)
        simulator.step(clip.actions[t])


def test_a_state_that_is_taken_up_goes_on_as_the_original_does():
    off = []
    for seed in range(12):
        clip = simulate([5, seed], 12)
        simulator = start_of(clip, clip.actions[:6])
        state = simulator.state()
        copies = [PushSimulator(clip.blocks, clip.poses[0], (0, 0)) for _ in range(2)]
        for copy in copies:
            copy.step((0.05, 0.05, 0.1, 0.0))  # what was before is forgotten
            copy.set_state(state)
            assert np.array_equal(copy.poses, simulator.poses)
            assert copy.gripper == simulator.gripper
        for action in clip.actions[6:9]:
            for moving in (simulator, *copies):
                moving.step(action)
        assert np.array_equal(copies[0].poses, copies[1].poses)
        off.append(np.abs(np.array(simulator.poses) - copies[0].poses)[:, :2].max())
    assert np.median(off) < 1e-3 and max(off) < 0.05


def test_the_hand_is_found_to_a_third_of_a_pixel():
    off = []
    for seed in range(8):
        clip = simulate([6, seed], 12)
        frames = torch.from_numpy(render(clip, [6, seed])).permute(0, 3, 1, 2) / 255
        tips = project(clip.gripper[:, :3], [6, seed])
        off.append((find_hand(frames) - torch.from_numpy(tips)).norm(dim=-1))
    assert torch.cat(off).mean() < 0.4
    assert torch.cat(off).max() < 1.3


def test_a_block_is_found_by_its_colour_and_not_where_it_is_not():
    off = []
    for seed in range(10):
        task = draw_task(seed)
        scene, simulator = Scene(task.seed), task.simulator()
        frame = torch.from_numpy(draw_now(scene, simulator)).permute(2, 0, 1) / 255
        found = ColourFinder(task.blocks[task.target].colour)(frame[None])[0]
        off.append(
            np.hypot(*(found.numpy() - task.pixels(scene, task.places[task.target])))
        )
    # One may be hidden behind the arm.
    assert np.nanmedian(off) < 0.7 and np.nanquantile(off, 0.8) < 1.5
    # A thing that has melted half into the ground is where it was.
    ground = torch.tensor([0.7, 0.5, 0.34])[:, None, None].expand(3, 64, 64)
    melted = ground.clone()
    blue = torch.tensor(FINDABLE[0])[:, None, None]
    melted[:, 20:30, 40:50] = 0.5 * ground[:, :10, :10] + 0.5 * blue
    finder = ColourFinder(FINDABLE[0])
    torch.testing.assert_close(finder(melted[None])[0], torch.tensor([45.0, 25.0]))
    assert finder(ground[None]).isnan().all()
    grey = torch.full((1, 3, 64, 64), 0.5)
    assert ColourFinder(FINDABLE[0])(grey).isnan().all()


def test_the_environment_passes_gymnasiums_checker():
    from gymnasium.utils.env_checker import check_env

    env = gymnasium.make("svg_pyro.planning:svg_pyro/Push-v0", render_mode="rgb_array")
    check_env(env.unwrapped)
    observation, info = env.reset(seed=3)
    assert observation["image"].dtype == np.uint8
    assert np.array_equal(env.render(), observation["image"])
    assert info["distance"] > SUCCESS_PIXELS and not info["is_success"]
    for _ in range(20):
        *_, truncated, _ = env.step(np.zeros(4, np.float32))
    assert truncated


def test_an_episode_is_a_function_of_its_seed_and_actions():
    ends = []
    for _ in range(2):
        env = PushEnv()
        env.action_space.seed(1)
        env.reset(seed=4)
        for _ in range(4):
            observation, reward, *_ = env.step(env.action_space.sample())
        ends.append((observation, reward))
    assert ends[0][1] == ends[1][1]
    for name in ("image", "goal"):
        assert np.array_equal(ends[0][0][name], ends[1][0][name])
    assert not np.array_equal(env.reset(seed=5)[0]["goal"], observation["goal"])


def test_a_block_put_on_its_goal_is_a_success_that_looks_like_the_goals_picture():
    env = PushEnv()
    observation, info = env.reset(seed=7)
    state = env.state()
    task = env.task
    state.bodies[task.target, :2] = 100 * np.array(task.goal)
    moved = env.set_state(state)
    *_, done, _, info = env.step(np.zeros(4, np.float32))
    assert done and info["is_success"] and info["distance"] < 0.5
    # All but the hand is where the goal's picture has it.
    before = np.abs(observation["image"].astype(int) - observation["goal"]).sum(-1) > 60
    after = np.abs(moved["image"].astype(int) - observation["goal"]).sum(-1) > 60
    assert after.sum() < before.sum()


def test_tasks_are_functions_of_their_seed_with_goals_that_can_be_reached():
    for seed in range(30):
        task = draw_task(seed)
        assert task == draw_task(seed)
        way = np.array(task.goal) - task.places[task.target][:2]
        assert 0.1 <= np.hypot(*way) <= 0.16
        assert not any(
            np.hypot(*(np.array(task.goal) - place[:2]))
            < block.radius + task.blocks[task.target].radius
            for i, (block, place) in enumerate(
                zip(task.blocks, task.places, strict=True)
            )
            if i != task.target
        )


def test_the_simulators_futures_are_what_happens_and_leave_it_alone():
    env = PushEnv()
    env.reset(seed=2)
    model = TruePush(env.task, env.scene, env.simulator)
    drawn = TruePush(env.task, env.scene, env.simulator, pictures=True)
    actions = torch.zeros(2, 4, 4)
    actions[1, 1:, 0] = 0.05
    before = env.state()
    places = model.predict(torch.empty(0), 3, 2, actions=actions)
    frames = drawn.predict(torch.empty(0), 3, 2, actions=actions)
    assert places.shape == (2, 2, 3, 2, 2) and frames.shape == (2, 2, 3, 3, 64, 64)
    assert np.array_equal(before.gripper, env.state().gripper)
    for t in range(3):
        observation, *_, info = env.step(actions[1, 1 + t].numpy())
        np.testing.assert_allclose(block_of(places)[0, 1, t], info["block"], atol=0.1)
        np.testing.assert_allclose(hand_of(places)[0, 1, t], info["hand"], atol=0.1)
    seen = frames[0, 1, -1].permute(1, 2, 0).numpy() * 255
    assert np.abs(seen - observation["image"]).mean() < 1


@pytest.mark.slow
def test_plans_with_the_true_simulator_succeed_where_random_strokes_do_not():
    env = PushEnv()
    settings = PlannerSettings(budget=1500)
    wins = {}
    for name, controller in (
        ("true", Planned(None, 2, Planning(settings))),
        ("random", RandomStrokes(settings)),
        ("greedy", HandToBlock()),
    ):
        episodes = [run_episode(env, controller, seed, 20) for seed in range(6)]
        wins[name] = sum(e.success for e in episodes)
        for episode in episodes:
            assert episode.success == (episode.distances[-1] <= SUCCESS_PIXELS)
            assert episode.frames <= 1500 * episode.decisions
    assert wins["true"] >= 4 > wins["greedy"] >= 0 and wins["random"] <= 1


def test_a_planned_episode_keeps_its_film_and_its_budget():
    env = PushEnv()
    settings = PlannerSettings(budget=40, horizon=4, rounds=2)
    controller = Planned(None, 3, Planning(settings, every=2))
    episode = run_episode(env, controller, 1, 5, film=True)
    assert len(episode.pictures) == len(episode.distances) == 6
    assert (episode.decisions, episode.frames) == (3, 3 * 40)
    observation, _ = env.reset(seed=1)
    assert np.array_equal(episode.goal, observation["goal"])
    assert np.array_equal(episode.pictures[0], observation["image"])
    # The film shows the goal all along, and what is done stands still.
    (film,) = _film({"planned": [episode]}, Tasks(1, 1, 8, 1))
    assert list(film.frames) == ["goal", "planned"]
    goal, played = film.frames.values()
    assert goal.shape == played.shape == (9, 3, 64, 64)
    assert torch.equal(goal[0], goal[-1]) and torch.equal(played[5], played[8])
    want = torch.from_numpy(observation["goal"]).permute(2, 0, 1) / 255
    assert torch.equal(goal[3], want)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"render_mode": "human"}, "rgb_array"),
        ({"least_push": 0.3, "most_push": 0.2}, "in order"),
    ],
)
def test_bad_arguments_of_the_environment_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        PushEnv(**arguments)


@pytest.mark.slow
def test_the_room_is_there_without_gymnasium():
    code = (
        "import sys; sys.modules['gymnasium'] = None; import svg_pyro.planning as p; "
        "print(len(p.__all__) > 5)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert out.stdout.strip() == "True", out.stderr
