"""Sample futures of any video from its first frames: no ground truth, no data set.

VIDEO is a film (mp4, avi, mov, webm, mkv, gif), a folder of them or of images, or a
.npy or .npz array. For each video a GIF, an mp4, a PNG strip and an .npz are written.
"""

from pathlib import Path

import numpy as np
import torch

import svg_pyro
from svg_pyro import Sampler
from svg_pyro.commands.settings import (
    Parser,
    choose_device,
    one_line_errors,
    warn_of_useless_precision,
)
from svg_pyro.config import PRECISIONS
from svg_pyro.data import find_sources, first_frames, to_float
from svg_pyro.data.videos.decode import FITS
from svg_pyro.errors import ConfigError, DataError
from svg_pyro.plots.strips import draw_gif, draw_mp4, draw_strip
from svg_pyro.util.files import free_folder, written_beside
from svg_pyro.util.modes import seeded


def parse(argv=None):
    parser = Parser(description=__doc__)
    flag = parser.add_argument
    flag("checkpoint", help="checkpoint.pt of a training run")
    flag("video", metavar="VIDEO", help="a video, or a folder of videos or images")
    counts = {
        "horizon": (50, 1, "frames to generate"),
        "num-samples": (10, 1, "futures of each video"),
        "shown": (5, 0, "futures in the pictures; the .npz holds all"),
        "start": (0, 0, "frame of the video with which the context begins"),
        "stride": (1, 1, "frames of the video from one frame to the next"),
        "seed": (0, 0, "of the futures"),
    }
    for name, (value, _, words) in counts.items():
        flag(f"--{name}", type=int, default=value, help=f"{words} (default: {value})")
    flag("--n-past", type=int, help="frames of context (default: as in training)")
    flag("--fit", choices=FITS, default="crop", help="how a frame becomes a square")
    flag("--fps", type=float, default=10, help="of the animations (default: 10)")
    flag("--out", help="folder (default: runs/futures, or runs/futures-2 ...)")
    flag(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="tf32: NVIDIA's tensor cores; bf16: convolutions in bfloat16, for devices "
        "faster in it",
    )
    flag(
        "--compile",
        action="store_true",
        help="compile the networks first, for GPUs and many videos",
    )
    flag("--device", help="cuda or cpu (default: cuda where there is one)")
    args = parser.parse_args(argv)
    with one_line_errors():
        for name, (_, least, _) in counts.items():
            value = getattr(args, name.replace("-", "_"))
            if value < least:
                raise ConfigError(f"--{name} is {value}; give {least} or more")
        if not 0.1 <= args.fps <= 100:
            raise ConfigError(f"--fps is {args.fps:g}; give 0.1 to 100")
        if args.n_past is not None and args.n_past < 1:
            raise ConfigError(f"--n-past is {args.n_past}; give 1 or more")
    return args


def write(svg, sampler, source, out, args):
    """Sample the futures of one video and write them under the names `out`.*."""
    n_past = args.n_past or svg.config.n_past
    clip = first_frames(
        source, svg.config, n_past, args.start, args.stride, args.fit, args.horizon
    )
    device = next(svg.parameters()).device
    context = to_float(clip[None, :n_past], device)
    with seeded(args.seed, device):
        futures = sampler.predict(context, args.horizon, args.num_samples)[:, 0].cpu()
    with written_beside(out.with_name(out.name + ".npz")) as beside:
        np.savez_compressed(
            beside, context=clip[:n_past].numpy(),
            futures=futures.mul(255).round().to(torch.uint8).numpy(),
            video=source.name, checkpoint=args.checkpoint, seed=args.seed,
            start=args.start, stride=args.stride, fit=args.fit,
        )  # fmt: skip
    if not args.shown:
        return
    given, rows = context[0].cpu(), {}
    if len(clip) == n_past + args.horizon:
        rows["truth"] = to_float(clip)
    for i, future in enumerate(futures[: args.shown], 1):
        rows[f"sample {i}"] = torch.cat([given, future])
    scale = max(1, 128 // svg.config.image_size)
    draw_strip(rows, n_past, out.with_name(out.name + ".png"), scale)
    draw_gif(rows, n_past, out.with_name(out.name + ".gif"), scale, args.fps)
    draw_mp4(rows, n_past, out.with_name(out.name + ".mp4"), scale, args.fps)


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        device = choose_device(args.device)
        warn_of_useless_precision(args.precision, device)
        svg = svg_pyro.load(args.checkpoint, map_location=device)
        sampler = Sampler(svg, args.precision, compiled=args.compile)
        sources = find_sources(args.video)
        out = Path(args.out) if args.out else free_folder("runs/futures")
        done = {}
        for source in sources:
            name = unused(source, done)
            try:
                write(svg, sampler, source, out / name, args)
            except DataError as error:
                if len(sources) == 1:
                    raise
                print(f"skipped: {error}")
                continue
            done[name] = source
            print(f"{source.name}: {args.num_samples} futures in {out / name}.npz")
        if not done:
            raise DataError(f"{args.video}: no video of {len(sources)} could be read")
        ending = ".gif" if args.shown else ".npz"
        print(f"open {out / next(iter(done))}{ending}")


def unused(source, taken):
    """A file name after the video's, which no earlier one of this call has."""
    parts = [source.path.stem, source.member, source.number]
    name = "_".join(str(part) for part in parts if part is not None)
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}-{number}"
    return found


if __name__ == "__main__":
    main()
