"""Compare the gradients of Trace_ELBO and TraceMeanField_ELBO on a trained model."""

from svg_pyro.commands.main import program

main = program("compare-elbos")

# Processes that make clips import this file.
if __name__ == "__main__":
    main()
