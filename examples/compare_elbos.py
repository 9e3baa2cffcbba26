"""Compare Trace_ELBO with TraceMeanField_ELBO on a trained model.

Both have the same mean; they differ in how noisy their gradients are. Prints, for
each part of the model, the ratio of the gradients' variances; it is infinite for a
learned prior, whose gradient has no noise when the KL is in closed form.
"""

import torch

import svg_pyro
from svg_pyro.commands.settings import Parser, one_line_errors
from svg_pyro.commands.train import first_clips
from svg_pyro.data import BairPush
from svg_pyro.training.elbos import ELBOS
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float


def gradients(svg, elbo, frames, repeats):
    """Gradients of the loss in nats a frame, drawn `repeats` times, by part.

    Returns
    -------
    losses : torch.Tensor
        Shape ``(repeats,)``.
    parts : dict of str to torch.Tensor
        Name of the part to gradients, shape ``(repeats, parameters)``.
    """
    names, parameters = zip(*svg.named_parameters())
    count = frames.shape[0] * (frames.shape[1] - 1)
    losses, parts = [], {}
    for _ in progress(range(repeats), desc=type(elbo).__name__, leave=False):
        loss = elbo.differentiable_loss(svg.model, svg.guide, frames) / count
        found = torch.autograd.grad(loss, parameters)
        losses.append(loss.detach())
        for part in dict.fromkeys(name.split(".")[0] for name in names):
            own = [
                g.flatten() for n, g in zip(names, found) if n.startswith(part + ".")
            ]
            parts.setdefault(part, []).append(torch.cat(own))
    return torch.stack(losses), {k: torch.stack(v) for k, v in parts.items()}


def main(argv=None):
    parser = Parser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("--data-root", default="data/simulated_push/aux1")
    parser.add_argument("--n-frames", type=int, default=12)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=40)
    args = parser.parse_args(argv)
    with one_line_errors():
        svg = svg_pyro.load(args.checkpoint)
        data = BairPush(args.data_root, "test", args.n_frames)
        frames = to_float(first_clips(data, args.clips))
        torch.manual_seed(0)
        found = {
            k: gradients(svg, elbo(), frames, args.repeats) for k, elbo in ELBOS.items()
        }
        for name, (losses, _) in found.items():
            print(
                f"{name}: loss {losses.mean():.3f} +- {losses.std():.3f} nats a frame"
            )
        for part, trace in found["trace"][1].items():
            ratio = trace.var(0).sum() / found["mean-field"][1][part].var(0).sum()
            print(f"{part}: gradient variance, trace / mean-field = {ratio:.3g}")


if __name__ == "__main__":
    main()
