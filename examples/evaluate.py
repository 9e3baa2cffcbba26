"""Score checkpoints on test clips by published protocols, and write a report.

Each CHECKPOINT is a path or NAME=PATH; all are scored on the same clips, beside the
last context frame repeated: for instance SVG-LP, SVG-FP and the deterministic predictor.
Writes results.json, curves.csv, figures, pictures and report.html. Ctrl-C saves and
leaves; the same command with --out DIR --resume goes on.
"""

from svg_pyro.commands.datasets import make_test_set
from svg_pyro.commands.evaluate import (
    evaluation_folder,
    evaluation_parser,
    find_lpips,
    print_scores,
    settings_of,
)
from svg_pyro.commands.settings import choose_device, one_line_errors
from svg_pyro.evaluation import Evaluation, load_candidates, publish


def main(argv=None):
    args = evaluation_parser(__doc__).parse_args(argv)
    with one_line_errors():
        device, out = choose_device(args.device), evaluation_folder(args)
        candidates = load_candidates(args.checkpoint, device)
        settings = settings_of(args, candidates)
        lpips = find_lpips(args, device)
        data, source = make_test_set(args, candidates[0].svg.config, settings.n_frames)
        evaluation = Evaluation(
            candidates, data, settings, out, device, lpips, args.fvd_network, source
        )
        print(f"{source}; {evaluation.clips} clips, device {device}, out {out}")
        if args.resume:
            evaluation.resume()
        if not evaluation.run():
            print(f"stopped; the same command with --out {out} --resume goes on")
            return
        print_scores(publish(evaluation))
        print(f"open {out / 'report.html'}")


# The simulator's worker processes import this file.
if __name__ == "__main__":
    main()
