"""Score checkpoints on test clips by published protocols, and write a report."""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from svg_pyro.commands.devices import choose_device, warn_of_useless_precision
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.held_out_data import add_test_data, find_test_data, find_test_set
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.own_parts import add_parts, use_parts
from svg_pyro.commands.parser import Flags, Parser
from svg_pyro.config import PRECISIONS
from svg_pyro.errors import ConfigError, EvaluationError
from svg_pyro.evaluation import (
    Candidate,
    Evaluation,
    EvaluationResults,
    EvaluationSettings,
    Perceptual,
    TestSet,
    joined,
    load_candidates,
    publish,
)
from svg_pyro.evaluation.runner import STATE
from svg_pyro.evaluation.settings import INTERVALS
from svg_pyro.metrics import PROTOCOLS, Lpips, published_test
from svg_pyro.plots.report_tables import score_rows
from svg_pyro.util import distributed

_OWN_HORIZON = 20  # predicted frames of data on which nothing is published
_DESCRIPTION = """\
Score checkpoints on test clips by published protocols, and write a report.

Each CHECKPOINT is a path or NAME=PATH; all are scored on the same clips, beside the
last context frame repeated: for instance SVG-LP, SVG-FP and the deterministic
predictor. Writes results.json, curves.csv, figures, pictures and report.html. Ctrl-C
saves and leaves; the same command with --out DIR --resume goes on. Under torchrun
--nproc_per_node=N the processes share the clips; results do not depend on N, and a
run may be resumed with another N."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What is evaluated, and where the results go.

    Attributes
    ----------
    checkpoint : tuple of str
        PATH or NAME=PATH: a training run's checkpoint.pt, or the name of a model that
        ships; NAME stands in tables and legends.
    protocol : tuple of str or None
        A published way to score: that of Denton and Fergus's code (svg), of
        Franceschi et al. 2020 (srvp), or of Finn et al. 2016 (finn); may be given
        again, without it all of them.
    horizon : int or None
        Predicted frames; without it as the first protocol is published on the data:
        bair 28, kth 30, smmnist 25 (srvp: 20); of own videos 20.
    published_clips : bool
        Instead of `clips` as many as the protocol's published numbers are of: srvp's
        256 of bair, 1000 of kth, 5000 of smmnist.
    n_past : int or None
        Frames of context; without it as in training.
    ensemble : bool
        Score the checkpoints as one predictor too, whose samples they draw by turns,
        and say how much of their spread lies between the models.
    lpips_backbone : str or None
        Weights of torchvision's network, for LPIPS.
    lpips_heads : str or None
        Weights of LPIPS's linear heads.
    lpips_net : str
        The network that these weights are of.
    fvd_network : str or None
        TorchScript of an I3D network, for FVD.
    out : str or None
        Folder of the results; without it runs/evaluation, or runs/evaluation-2 and so
        on.
    resume : bool
        Go on with the evaluation in `out`.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    checkpoint: tuple[str, ...] = option(kind="positional", metavar="CHECKPOINT")
    protocol: tuple[str, ...] | None = option(
        None, choices=tuple(PROTOCOLS), kind="append"
    )
    horizon: int | None = None
    published_clips: bool = False
    n_past: int | None = None
    ensemble: bool = False
    lpips_backbone: str | None = option(None, metavar="FILE")
    lpips_heads: str | None = option(None, metavar="FILE")
    lpips_net: str = option("alex", choices=("alex", "vgg"))
    fvd_network: str | None = option(None, metavar="FILE")
    out: str | None = option(None, metavar="DIR")
    resume: bool = False
    device: str | None = None


@one_line_errors()
def evaluate(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Score checkpoints, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoints and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    flags = evaluation_parser(prog=prog).parse(argv)
    options = flags.make(EvaluateOptions)
    use_parts(flags)
    distributed.start()
    device = choose_device(options.device)
    with contextlib.ExitStack() as kept:
        out = distributed.from_first(
            lambda: kept.enter_context(evaluation_folder(options))
        )
        _score(flags, options, device, out)
    distributed.end()


def _score(
    flags: Flags, options: EvaluateOptions, device: torch.device, out: Path
) -> None:
    """Score the checkpoints, and write and print what was found."""
    candidates = _candidates(flags, options, device)
    test_data = find_test_data(flags, [c for c in candidates if c.config is not None])
    if options.ensemble:
        candidates.insert(-1, joined(candidates))
    settings = settings_of(flags, options, candidates, test_data.kind)
    lpips = find_lpips(options, device)
    model = next(c.config for c in candidates if c.config is not None)
    distributed.wait_turn()
    data, source = find_test_set(test_data, model, settings.n_frames)
    distributed.pass_turn()
    evaluation = Evaluation(
        candidates,
        TestSet(data, source),
        settings,
        out=out,
        device=device,
        perceptual=Perceptual(lpips, options.fvd_network),
    )
    ranks = distributed.ranks()
    where = f"device {device}" if ranks == 1 else f"{ranks} processes on {device.type}"
    print(f"{source}; {evaluation.clips} clips, {where}, out {out}")
    if options.resume:
        evaluation.resume()
    if not evaluation.run():
        print(f"stopped; the same command with --out {out} --resume goes on")
    elif distributed.rank() == 0:
        print_scores(publish(evaluation))
        print(f"open {out / 'report.html'}")


def _candidates(
    flags: Flags, options: EvaluateOptions, device: torch.device
) -> list[Candidate]:
    """The checkpoints, computed as the flags ask."""
    given = flags.given(EvaluationSettings)
    precision, threads = given.get("precision", "float32"), given.get("threads")
    warn_of_useless_precision(precision, device)
    if threads is not None:
        torch.set_num_threads(max(1, threads))
    return load_candidates(
        options.checkpoint,
        device,
        precision=precision,
        compiled=given.get("compile", False),
    )


def evaluation_parser(*, prog: str | None = None) -> Parser:
    """A parser of checkpoints, of the fields of `EvaluationSettings`, and of data."""
    parser = Parser(_DESCRIPTION, prog=prog)
    parser.add_fields(EvaluateOptions)
    parser.add_fields(
        EvaluationSettings,
        title="scores (svg_pyro.evaluation.EvaluationSettings)",
        choices={"precision": PRECISIONS, "intervals": INTERVALS},
        leave_out=("n_past", "horizon", "protocols"),
    )
    add_parts(parser)
    add_test_data(parser)
    return parser


def evaluation_folder(options: EvaluateOptions) -> AbstractContextManager[Path]:
    """Where the results go; an evaluation that is there is only touched by --resume.

    Raises
    ------
    ConfigError
        If the folder holds an evaluation that is not to be resumed, or no folder is
        given of one that is; or, on entering, if another process writes to it.
    """
    if options.out is None:
        if options.resume:
            raise ConfigError("--resume needs --out, the folder of the evaluation")
        return own_folder(None, "runs/evaluation")
    if (Path(options.out) / STATE).exists() and not options.resume:
        raise ConfigError(
            f"{options.out} holds an evaluation; give --resume to go on with it, or "
            "another --out"
        )
    return own_folder(options.out)


def settings_of(
    flags: Flags,
    options: EvaluateOptions,
    candidates: Sequence[Candidate],
    data: str,
) -> EvaluationSettings:
    """The settings of an evaluation.

    Parameters
    ----------
    flags : Flags
        Of `evaluation_parser`.
    options : EvaluateOptions
        Protocols, context and horizon.
    candidates : sequence of Candidate
        Their training's context is taken where none is given.
    data : str
        Name of the data set.

    Raises
    ------
    EvaluationError
        If a value is out of range, the context is not given and the candidates were
        trained on contexts of different lengths, or the published number of clips is
        asked for and there is none.
    """
    contexts = {c.n_past for c in candidates if c.n_past is not None}
    if options.n_past is None and len(contexts) > 1:
        raise EvaluationError(
            f"the checkpoints were trained on contexts of {sorted(contexts)} frames; "
            "give one for all with --n-past"
        )
    n_past, horizon = options.n_past, options.horizon
    protocols = tuple(dict.fromkeys(options.protocol or PROTOCOLS))
    if horizon is None:
        test = published_test(protocols, data)
        horizon = _OWN_HORIZON if test is None else test.horizon
    settings = flags.make(
        EvaluationSettings,
        n_past=contexts.pop() if n_past is None else n_past,
        horizon=horizon,
        protocols=protocols,
    )
    if options.published_clips:
        settings = replace(settings, clips=_published_clips(protocols, data))
    return settings


def _published_clips(protocols: Sequence[str], data: str) -> int:
    test = published_test(protocols, data, with_clips=True)
    if test is None or test.clips is None:
        raise EvaluationError(
            f"no number of test clips is published by {', '.join(protocols)} for "
            f"{data}; give --clips instead of --published-clips"
        )
    return test.clips


def find_lpips(options: EvaluateOptions, device: torch.device) -> Lpips | None:
    """LPIPS where its weights are given, else None; prints what is left out."""
    missing, lpips = [], None
    if options.lpips_backbone or options.lpips_heads:
        lpips = Lpips(
            options.lpips_backbone,
            options.lpips_heads,
            net=options.lpips_net,
            device=device,
        )
    else:
        missing.append("LPIPS (give --lpips-backbone and --lpips-heads)")
    if options.fvd_network is None:
        missing.append("FVD (give --fvd-network)")
    if missing:
        print(f"left out for want of weights: {', '.join(missing)}")
    return lpips


def print_scores(results: EvaluationResults) -> None:
    """Each protocol's headline figures, in columns."""
    for protocol in results.settings.protocols:
        head, rows = score_rows(results, protocol)
        rows = [[f"protocol {protocol}", *head[1:]], *rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = (
                cell.rjust(width)
                for cell, width in zip(others, widths[1:], strict=True)
            )
            print("  ".join([first.ljust(widths[0]), *cells]))
    for candidate in results.candidates:
        if candidate.spread is not None:
            print(
                f"{candidate.name}: {candidate.spread.epistemic_share:.0%} of the "
                "variance of its samples lies between its models (epistemic)"
            )
