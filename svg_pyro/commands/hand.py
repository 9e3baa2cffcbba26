"""Score how far off the robot's hand is in a model's futures."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import svg_pyro
from svg_pyro import Sampler
from svg_pyro.commands.datasets import BairOptions
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.own_parts import parsed
from svg_pyro.data import BairPush
from svg_pyro.errors import ConfigError
from svg_pyro.evaluation.hand import HandTest, hand_errors
from svg_pyro.util.files import check_writable, write_json

_DESCRIPTION = """\
Score how far off the robot's hand is in a model's futures of simulated pushing, in
pixels: with the clip's own actions, with another clip's, and for the last context frame
repeated. The hand is found by its black, to 0.3 pixel."""


@dataclass(frozen=True)
class HandOptions:
    """What is scored.

    Attributes
    ----------
    checkpoint : str
        checkpoint.pt of a training run, or the name of a model that ships, for
        instance push-actions.
    data_root : str or None
        Folder of simulated clips (softmotion30_44k); without it where training commands
        keep them.
    clips : int
        Test clips.
    horizon : int
        Predicted frames.
    num_samples : int
        Futures of each clip.
    seed : int
        Seed of the futures.
    json : str or None
        File to write the numbers to.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    checkpoint: str = option(kind="positional", metavar="CHECKPOINT")
    data_root: str | None = option(None, metavar="DIR")
    clips: int = option(64, least=2)
    horizon: int = option(10, least=1)
    num_samples: int = option(4, least=1)
    seed: int = option(0, least=0)
    json: str | None = option(None, metavar="FILE")
    device: str | None = None


@one_line_errors()
def score_hand(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Score a model, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoint and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    options = parsed(HandOptions, _DESCRIPTION, argv, prog=prog)
    if options.json:
        check_writable(options.json)
    device = choose_device(options.device)
    svg = svg_pyro.load(options.checkpoint, map_location=device).eval()
    if svg.frame_shape != (3, 64, 64):
        raise ConfigError(
            f"{options.checkpoint}: its frames are {svg.frame_shape}; the hand is "
            "found in those of robot pushing, (3, 64, 64)"
        )
    root = Path(options.data_root or BairOptions().simulated)
    steps = svg.config.n_past + options.horizon
    data = BairPush(root, "test", steps, actions=svg.config.action_dim > 0)
    test = HandTest(
        options.clips, options.horizon, options.num_samples, seed=options.seed
    )
    errors = hand_errors(Sampler(svg), data, test)
    print(f"the hand is off, in pixels, over {errors[0].clips} clips:")
    for error in errors:
        last = f"in frame {options.horizon} {error.per_step[-1]:.2f}"
        print(f"{error.name:22} {error.mean:5.2f} +- {error.half_width:.2f}, {last}")
    if options.json:
        write_json(options.json, [dataclasses.asdict(error) for error in errors])
