"""The command line of examples/evaluate.py: its flags, settings, weights and folder."""

from pathlib import Path

from svg_pyro.commands.datasets import HORIZONS, add_data_flags
from svg_pyro.commands.settings import Parser
from svg_pyro.errors import ConfigError, EvaluationError
from svg_pyro.evaluation import EvaluationSettings
from svg_pyro.evaluation.runner import STATE
from svg_pyro.evaluation.settings import INTERVALS
from svg_pyro.metrics import PROTOCOLS, Lpips
from svg_pyro.plots.report import score_rows
from svg_pyro.util.files import free_folder

_COUNTS = {
    "num-samples": "futures of each clip",
    "clips": "test clips",
    "batch-size": "clips at a time",
    "chunk-size": "samples of a batch at a time",
    "seed": "of the samples",
    "calibration-samples": "of them judged as a distribution; 0: none",
    "likelihood-clips": "clips whose likelihood is bounded; 0: none",
    "pictures": "clips that are drawn",
}


def evaluation_parser(description):
    """A parser of checkpoints, of the fields of `EvaluationSettings`, and of data."""
    parser = Parser(description=description)
    flag = parser.add_argument
    flag("checkpoint", nargs="+", metavar="CHECKPOINT")
    flag("--protocol", action="append", choices=PROTOCOLS,
         help="may be given again (default: all of them)")  # fmt: skip
    horizons = ", ".join(f"{k} {v}" for k, v in HORIZONS.items())
    flag("--horizon", type=int,
         help=f"predicted frames (default: as in the papers: {horizons})")  # fmt: skip
    flag("--n-past", type=int, help="frames of context (default: as in training)")
    for name, words in _COUNTS.items():
        value = getattr(EvaluationSettings, name.replace("-", "_"))
        flag(f"--{name}", type=int, default=value, help=f"{words} (default: {value})")
    flag("--particles", type=int, nargs="+", metavar="K",
         default=EvaluationSettings.particles,
         help="draws of each importance-weighted bound (default: 1 10 100 1000)")  # fmt: skip
    flag("--intervals", choices=INTERVALS, default="means",
         help="calibration of the means' spread, or with the model's noise added")  # fmt: skip
    flag("--lpips-backbone", metavar="FILE", help="weights of torchvision's network")
    flag("--lpips-heads", metavar="FILE", help="weights of LPIPS's linear heads")
    flag("--lpips-net", choices=("alex", "vgg"), default="alex")
    flag("--fvd-network", metavar="FILE", help="TorchScript of an I3D network")
    flag("--out", help="folder (default: runs/evaluation, or runs/evaluation-2 ...)")
    flag("--resume", action="store_true", help="go on with the evaluation in --out")
    flag("--device", help="cuda or cpu (default: cuda where there is one)")
    add_data_flags(parser)
    return parser


def evaluation_folder(args):
    """Where the results go; an evaluation that is there is only touched by --resume."""
    if args.out is None:
        if args.resume:
            raise ConfigError("--resume needs --out, the folder of the evaluation")
        return free_folder("runs/evaluation")
    if (Path(args.out) / STATE).exists() and not args.resume:
        raise ConfigError(
            f"{args.out} holds an evaluation; give --resume to go on with it, or another"
        )
    return Path(args.out)


def settings_of(args, candidates):
    """`EvaluationSettings`, with the context of the training where none is given."""
    contexts = {c.svg.config.n_past for c in candidates if c.svg is not None}
    if args.n_past is None and len(contexts) > 1:
        raise EvaluationError(
            f"the checkpoints were trained on contexts of {sorted(contexts)} frames; "
            "give one for all with --n-past"
        )
    return EvaluationSettings(
        n_past=contexts.pop() if args.n_past is None else args.n_past,
        horizon=HORIZONS[args.data] if args.horizon is None else args.horizon,
        protocols=tuple(dict.fromkeys(args.protocol or PROTOCOLS)),
        particles=tuple(args.particles), intervals=args.intervals,
        **{k: getattr(args, k) for k in (name.replace("-", "_") for name in _COUNTS)},
    )  # fmt: skip


def find_lpips(args, device):
    """LPIPS where its weights are given, else None; prints what is left out."""
    missing, lpips = [], None
    if args.lpips_backbone or args.lpips_heads:
        lpips = Lpips(args.lpips_backbone, args.lpips_heads, args.lpips_net, device)
    else:
        missing.append("LPIPS (give --lpips-backbone and --lpips-heads)")
    if args.fvd_network is None:
        missing.append("FVD (give --fvd-network)")
    if missing:
        print(f"left out for want of weights: {', '.join(missing)}")
    return lpips


def print_scores(results):
    """Each protocol's headline figures, in columns."""
    for protocol in results["settings"]["protocols"]:
        head, rows = score_rows(results, protocol)
        rows = [[f"protocol {protocol}", *head[1:]], *rows]
        widths = [max(map(len, column)) for column in zip(*rows)]
        for first, *others in rows:
            cells = (cell.rjust(width) for cell, width in zip(others, widths[1:]))
            print("  ".join([first.ljust(widths[0]), *cells]))
