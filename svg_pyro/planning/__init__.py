"""Plans: actions whose sampled futures end well.

`Planner` searches actions by what a model predicts: by the cross-entropy method
(`CrossEntropy`) or MPPI (`PathIntegral`), for a cost of futures (`GoalImage`,
`PixelGoal`, or any callable) over samples (`RiskNeutral`, `WorstShare`,
`MeanAndSpread`). `VP2Model` serves a model to the benchmark VP2.

Where gymnasium is installed, importing this registers the environment
`svg_pyro/Push-v0`; ``gymnasium.make("svg_pyro.planning:svg_pyro/Push-v0")`` does both.
"""

from svg_pyro.planning.costs import Cost, Finder, GoalImage, OfMeanFuture, PixelGoal
from svg_pyro.planning.planner import Plan, Planner, Predictor
from svg_pyro.planning.registration import register_envs
from svg_pyro.planning.risks import MeanAndSpread, Risk, RiskNeutral, WorstShare
from svg_pyro.planning.rules import CrossEntropy, PathIntegral, Rule
from svg_pyro.planning.settings import ActionRange, PlannerSettings
from svg_pyro.planning.vp2 import VP2Model

__all__ = [
    "ActionRange",
    "Cost",
    "CrossEntropy",
    "Finder",
    "GoalImage",
    "MeanAndSpread",
    "OfMeanFuture",
    "PathIntegral",
    "PixelGoal",
    "Plan",
    "Planner",
    "PlannerSettings",
    "Predictor",
    "Risk",
    "RiskNeutral",
    "Rule",
    "VP2Model",
    "WorstShare",
    "register_envs",
]

register_envs()
