"""Score every frame of a video by how much it surprises a model."""

from svg_pyro.commands.surprise import score_video as main

if __name__ == "__main__":
    main()
