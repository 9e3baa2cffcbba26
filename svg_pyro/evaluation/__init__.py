"""How good sampled futures are.

`score_futures` and `picture_rows` are the quick look at the end of a training run.
`Evaluation` scores several candidates (models from checkpoints, and baselines) on the
same test clips by published protocols, as distributions and by likelihood, in bounded
memory, and can be interrupted; `results_of` gives its figures, `publish` writes them
with pictures and a report.
"""

from svg_pyro.evaluation.candidates import LAST_FRAME, Candidate
from svg_pyro.evaluation.collect import results_of
from svg_pyro.evaluation.judgement import (
    Concern,
    concerns,
    scores_in_words,
    verdict,
)
from svg_pyro.evaluation.loading import joined, load_candidates
from svg_pyro.evaluation.model_candidates import EnsembleCandidate, ModelCandidate
from svg_pyro.evaluation.publish import publish
from svg_pyro.evaluation.quick import (
    FutureScores,
    picture_rows,
    score_futures,
    scores_of,
)
from svg_pyro.evaluation.result_files import read_results
from svg_pyro.evaluation.results import EvaluationResults
from svg_pyro.evaluation.runner import Evaluation, TestSet
from svg_pyro.evaluation.scorer import Perceptual
from svg_pyro.evaluation.settings import EvaluationSettings
from svg_pyro.evaluation.surprise import FrameSurprise, frame_surprises, moments_of

__all__ = [
    "LAST_FRAME",
    "Candidate",
    "Concern",
    "EnsembleCandidate",
    "Evaluation",
    "EvaluationResults",
    "EvaluationSettings",
    "FrameSurprise",
    "FutureScores",
    "ModelCandidate",
    "Perceptual",
    "TestSet",
    "concerns",
    "frame_surprises",
    "joined",
    "load_candidates",
    "moments_of",
    "picture_rows",
    "publish",
    "read_results",
    "results_of",
    "score_futures",
    "scores_in_words",
    "scores_of",
    "verdict",
]
