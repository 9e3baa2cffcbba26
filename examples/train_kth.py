"""Train SVG on videos of people who walk, jog, run, box, wave and clap (KTH)."""

from svg_pyro.commands.main import program

main = program("train", "kth")

# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
