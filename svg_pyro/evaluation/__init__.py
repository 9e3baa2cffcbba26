"""How good sampled futures are.

`score_futures` and `picture_rows` are the quick look at the end of a training run.
`Evaluation` scores several checkpoints and baselines on the same test clips by published
protocols, as distributions and by likelihood, in bounded memory, and can be interrupted;
`publish` writes its numbers, figures and report.
"""

from svg_pyro.evaluation.candidates import COPY, Candidate, load_candidates
from svg_pyro.evaluation.judgement import Concern, concerns
from svg_pyro.evaluation.publish import publish
from svg_pyro.evaluation.quick import FutureScores, picture_rows, score_futures
from svg_pyro.evaluation.results import results_of
from svg_pyro.evaluation.runner import Evaluation
from svg_pyro.evaluation.settings import EvaluationSettings

__all__ = [
    "COPY",
    "Candidate",
    "Concern",
    "Evaluation",
    "EvaluationSettings",
    "FutureScores",
    "concerns",
    "load_candidates",
    "picture_rows",
    "publish",
    "results_of",
    "score_futures",
]
