"""The names by which gymnasium makes environments."""

PUSH = "svg_pyro/Push-v0"
PUSH_STEPS = 20  # of an episode


def register_envs() -> None:
    """Tell gymnasium of `svg_pyro/Push-v0`, where it is installed."""
    try:
        import gymnasium
    except ImportError:
        return
    if PUSH not in gymnasium.registry:
        gymnasium.register(
            PUSH,
            entry_point="svg_pyro.planning.push_env:PushEnv",
            max_episode_steps=PUSH_STEPS,
        )
