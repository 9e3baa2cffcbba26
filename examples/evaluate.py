"""Score checkpoints on test clips by published protocols, and write a report."""

from svg_pyro.commands.main import program

main = program("evaluate")

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
