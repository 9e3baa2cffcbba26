"""Planners against worlds of which the best plan is known."""

import math

import pytest
import torch

from svg_pyro.errors import ConfigError, FramesError
from svg_pyro.planning import (
    ActionRange,
    CrossEntropy,
    GoalImage,
    MeanAndSpread,
    OfMeanFuture,
    PathIntegral,
    PixelGoal,
    Planner,
    PlannerSettings,
    RiskNeutral,
    WorstShare,
)

CONTEXT = torch.zeros(1, 2, 1, 1, 2)
SQUARE = ActionRange((-0.1, -0.1), (0.1, 0.1))


class Walk:
    """A point in the plane that goes where it is told; its frame holds its place."""

    def __init__(self, noise=0.0):
        self.noise, self.calls = noise, []

    def predict(self, context, horizon, num_samples=1, *, actions):
        self.calls.append(actions)
        place = actions[:, -horizon:].cumsum(1)[:, :, None, None, :]
        samples = place.expand(num_samples, *place.shape)
        # The further up it goes, the less is certain.
        up = place[..., 1:].clamp_min(0)
        return samples + self.noise * up * torch.randn(samples.shape)


def from_goal(x, y):
    def cost(futures):
        return (futures[:, :, -1, 0, 0] - torch.tensor([x, y])).norm(dim=-1)

    return cost


@pytest.mark.parametrize("rule", [CrossEntropy(), PathIntegral(0.1)])
def test_a_plan_reaches_a_goal_within_reach(rule):
    planner = Planner(
        Walk(), SQUARE, PlannerSettings(budget=20_000, rounds=5), rule=rule
    )
    plan = planner.plan(CONTEXT, from_goal(0.5, -0.3))
    end = plan.actions.sum(0)
    assert (end - torch.tensor([0.5, -0.3])).norm() < 0.06
    assert plan.actions.abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize("rule", [CrossEntropy(), PathIntegral()])
def test_a_goal_out_of_reach_is_approached_at_full_speed(rule):
    settings = PlannerSettings(budget=30_000, rounds=10)
    plan = Planner(Walk(), SQUARE, settings, rule=rule).plan(
        CONTEXT, from_goal(9.0, 0.0)
    )
    assert plan.actions[:, 0].mean() > 0.09


def test_the_budget_is_kept_and_reported():
    for budget, samples in ((3000, 1), (3001, 4), (999, 7)):
        walk = Walk()
        settings = PlannerSettings(budget=budget, num_samples=samples)
        plan = Planner(walk, SQUARE, settings).plan(CONTEXT, from_goal(0.1, 0.1))
        drawn = sum(len(call) for call in walk.calls) * 10 * samples
        assert plan.frames == drawn <= budget
        assert budget - drawn < 3 * 10 * samples


def test_a_warm_start_is_one_of_the_first_plans_and_leads_further():
    settings = PlannerSettings(budget=1500)
    cost = from_goal(0.8, 0.8)
    walk = Walk()
    planner = Planner(walk, SQUARE, settings)
    first = planner.plan(CONTEXT, cost)
    walk.calls.clear()
    start = first.rest(2)
    assert torch.equal(start[:8], first.actions[2:])
    assert torch.equal(start[8], first.actions[-1])
    again = planner.plan(CONTEXT, cost, start=start, seed=1)
    assert torch.equal(walk.calls[0][0, 1:], start)
    assert again.cost <= from_goal(0.8, 0.8)(
        walk.predict(CONTEXT, 10, actions=start[None])
    )


def test_past_actions_lead_to_the_context_in_every_plan():
    walk = Walk()
    past = torch.tensor([[0.03, 0.04]])
    Planner(walk, SQUARE).plan(CONTEXT, from_goal(0.0, 0.1), past=past)
    for call in walk.calls:
        assert call.shape == (100, 11, 2)
        assert (call[:, :1] == past).all()


def test_equal_seeds_give_equal_plans_and_leave_the_global_state_alone():
    planner = Planner(Walk(noise=0.1), SQUARE, PlannerSettings(num_samples=2))
    state = torch.get_rng_state()
    a, b, c = (planner.plan(CONTEXT, from_goal(0, 0.4), seed=s) for s in (1, 1, 2))
    assert torch.equal(a.actions, b.actions) and not torch.equal(a.actions, c.actions)
    assert torch.equal(state, torch.get_rng_state())


def test_what_is_averse_to_risk_stays_where_all_is_certain():
    """Costs |N(y - 0.4, y)|: their mean is least at 0.22, of the worst quarter at 0."""
    ends = {}
    for name, risk in (("neutral", RiskNeutral()), ("worst", WorstShare(0.25))):
        settings = PlannerSettings(budget=200_000, num_samples=100, rounds=4)
        planner = Planner(Walk(noise=1.0), SQUARE, settings, risk=risk)
        plan = planner.plan(CONTEXT, lambda f: (f[:, :, -1, 0, 0, 1] - 0.4).abs())
        ends[name] = plan.actions[:, 1].sum()
    assert ends["worst"] < 0.1 and 0.15 < ends["neutral"] < 0.3


def test_risks_are_what_they_say():
    costs = torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [10.0, 5.0]])
    assert RiskNeutral()(costs).tolist() == [4.0, 5.0]
    assert WorstShare(0.5)(costs).tolist() == [6.5, 5.0]
    assert WorstShare(1.0)(costs).tolist() == [4.0, 5.0]
    assert WorstShare(0.1)(torch.arange(30.0)[:, None]).tolist() == [28.0]
    spread = math.sqrt(((costs[:, 0] - 4) ** 2).mean())
    assert MeanAndSpread(2)(costs).tolist() == pytest.approx([4 + 2 * spread, 5.0])


def test_the_cross_entropy_update_is_the_best_plans_moments():
    plans = torch.tensor([0.0, 1.0, 2.0, 10.0]).reshape(4, 1, 1)
    costs = torch.tensor([0.0, 1.0, 2.0, 9.0])
    old = torch.zeros(1, 1), torch.ones(1, 1)
    mean, std = CrossEntropy(share=0.5, inertia=0.0).update(plans, costs, *old)
    assert (mean.item(), std.item()) == (0.5, 0.5)
    mean, std = CrossEntropy(share=0.5, inertia=0.5).update(plans, costs, *old)
    assert (mean.item(), std.item()) == (0.25, 0.75)


def test_path_integral_weights_do_not_depend_on_the_costs_unit():
    plans, costs = torch.randn(20, 3, 2), torch.rand(20)
    old = torch.zeros(3, 2), torch.ones(3, 2)
    rule = PathIntegral(0.5)
    mean, std = rule.update(plans, costs, *old)
    scaled, _ = rule.update(plans, 1e6 * costs + 5, *old)
    torch.testing.assert_close(mean, scaled, atol=1e-3, rtol=1e-3)
    assert torch.equal(std, old[1])
    weights = torch.softmax(-costs / (0.5 * costs.std(correction=0)), 0)
    torch.testing.assert_close(mean, (weights[:, None, None] * plans).sum(0))


def test_a_goal_image_costs_its_mean_square():
    goal = torch.rand(3, 4, 4)
    futures = torch.rand(2, 5, 6, 3, 4, 4)
    cost = GoalImage(goal, last=2)(futures)
    assert cost.shape == (2, 5)
    assert cost[1, 3] == pytest.approx(
        float((futures[1, 3, -2:] - goal).square().mean()), rel=1e-5
    )
    with pytest.raises(FramesError, match=r"goal's picture is \(3, 4, 4\)"):
        GoalImage(goal)(torch.rand(2, 5, 6, 3, 8, 8))


def test_a_pixel_goal_costs_distances_and_the_way_of_the_hand():
    # A thing at (4, 0), then unseen, then (1, 0); the goal is (0, 0).
    nan = float("nan")
    track = torch.tensor([[4.0, 0.0], [nan, nan], [1.0, 0.0]])[None, None]
    cost = PixelGoal((0.0, 0.0), lambda futures: futures)(track)
    assert cost.item() == pytest.approx((4 + 4 + 1) / 3)
    # Behind the thing, seen from the goal, is (9, 0) and then (6, 0).
    places = torch.tensor([[9.0, 2.0], [9.0, 2.0], [6.0, 2.0]])
    hand = lambda futures: places[None, None]  # noqa: E731
    reaching = PixelGoal((0.0, 0.0), lambda f: f, hand, reach=0.5, behind=5.0)(track)
    assert reaching.item() == pytest.approx((4 + 4 + 1) / 3 + 0.5 * 2)
    assert PixelGoal((0.0, 0.0), lambda f: f * nan)(track).isnan().all()


def test_the_mean_future_hides_what_its_samples_disagree_on():
    futures = torch.stack([torch.full((1, 1, 1, 1, 2), v) for v in (-1.0, 1.0)])
    cost = from_goal(0.0, 0.0)
    assert OfMeanFuture(cost)(futures).tolist() == [[0.0]]
    assert cost(futures).mean() == pytest.approx(math.sqrt(2))


def test_a_plan_in_which_nothing_is_found_counts_as_the_worst():
    def cost(futures):
        end = futures[:, :, -1, 0, 0, 0]
        return torch.where(end > 0.2, float("nan"), (end - 1).abs())

    plan = Planner(Walk(), SQUARE).plan(CONTEXT, cost)
    assert plan.cost < 1 and plan.actions[:, 0].sum() <= 0.2 + 1e-6
    with pytest.raises(ConfigError, match="finite for no plan"):
        Planner(Walk(), SQUARE).plan(CONTEXT, lambda f: f[:, :, 0, 0, 0, 0] * nan())


def nan():
    return float("nan")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: PlannerSettings(budget=59), "give at least 60"),
        (lambda: PlannerSettings(smoothness=1.0), "below 1"),
        (lambda: PlannerSettings(spread=0), "above 0"),
        (lambda: PlannerSettings(horizon=0), "horizon is 0"),
        (lambda: ActionRange((0.0,), (1.0, 2.0)), "1 numbers and high 2"),
        (lambda: ActionRange((1.0,), (0.0,)), "in order"),
        (lambda: WorstShare(0), "above 0"),
        (lambda: CrossEntropy(share=2), "share is 2"),
        (lambda: CrossEntropy(inertia=1), "inertia is 1"),
        (lambda: PathIntegral(0), "above 0"),
    ],
)
def test_bad_settings_are_refused_in_one_line(call, words):
    with pytest.raises(ConfigError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_bad_arguments_of_a_plan_are_refused_in_one_line():
    planner, cost = Planner(Walk(), SQUARE), from_goal(0, 0)
    with pytest.raises(FramesError, match=r"\(1, n, C, H, W\)"):
        planner.plan(torch.zeros(2, 2, 1, 1, 2), cost)
    with pytest.raises(FramesError, match=r"past .* give \(1, 2\)"):
        planner.plan(CONTEXT, cost, past=torch.zeros(2, 2))
    with pytest.raises(FramesError, match=r"start .* give \(10, 2\)"):
        planner.plan(CONTEXT, cost, start=torch.zeros(9, 2))
    with pytest.raises(ConfigError, match=r"give \(samples, 100\)"):
        planner.plan(CONTEXT, lambda f: f)
