"""Compare priors, guides and observation models in short trainings from scratch."""

from svg_pyro.commands.compare_parts import compare_parts as main

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
