"""Draw the paper's figures, from checkpoints of examples/train_smmnist.py."""

from svg_pyro.commands.figures import draw_figures as main

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
