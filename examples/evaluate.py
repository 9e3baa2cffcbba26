"""Score checkpoints on test clips by published protocols, and write a report."""

from svg_pyro.commands.evaluate import evaluate as main

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
