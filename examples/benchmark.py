"""Measure svg_pyro on this machine, and print tables.

`data` reads random clips from data sets that it makes in a temporary folder.
"""

import argparse
import platform

import torch
from benchmarks import data
from benchmarks.tables import print_table, write_json

from svg_pyro.cli import one_line_errors


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("data",))
    parser.add_argument("--json", help="file to write the figures to")
    args = parser.parse_args(argv)
    with one_line_errors():
        print(f"{platform.processor() or platform.machine()}, PyTorch {torch.__version__}")
        rows, workers = data.run()
        print_table("Reading clips; a core's frames/s", rows)
        print_table("Batches read ahead; all processes' frames/s", workers)
        if args.json:
            write_json(args.json, {"data": rows, "workers": workers})


# Processes that read clips ahead import this file.
if __name__ == "__main__":
    main()
