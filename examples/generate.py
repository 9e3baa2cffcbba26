"""Sample futures of any video from its first frames: no ground truth, no data set."""

from svg_pyro.commands.main import program

main = program("generate")

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
