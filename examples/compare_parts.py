"""Compare priors, guides and observation models in short trainings from scratch."""

from svg_pyro.commands.main import program

main = program("compare-parts")

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
