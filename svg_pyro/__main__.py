"""`python -m svg_pyro`: Python looks for this file here; see commands/main.py."""

from svg_pyro.commands.main import main

if __name__ == "__main__":  # processes that read clips ahead import this file
    main()
