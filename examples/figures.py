"""Draw the paper's figures, from checkpoints of examples/train_smmnist.py."""

from svg_pyro.commands.main import program

main = program("figures")

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
