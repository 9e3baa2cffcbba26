"""A web page on which a person looks at a model's futures of a clip or a video."""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.own_parts import parsed
from svg_pyro.commands.viewer import Viewer
from svg_pyro.errors import SVGError
from svg_pyro.util.optional import need

_DESCRIPTION = """\
Open a web page of a model's futures: pick a clip or drop a video, choose how many
frames and futures, and see futures, uncertainty and surprise side by side.

The page is served to this machine alone, and fetches nothing."""

_MOST_FUTURES = 10
_LONGEST = 50


@dataclass(frozen=True)
class ServeOptions:
    """What is served, and where.

    Attributes
    ----------
    model : tuple of str
        Checkpoints, folders of runs, or names of models that ship.
    port : int
        Port of the page's address, http://127.0.0.1:PORT.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    model: tuple[str, ...] = option(
        ("smmnist-1", "push"), kind="positional", metavar="MODEL"
    )
    port: int = option(7860, least=1, most=65535)
    device: str | None = None


@one_line_errors()
def serve(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Serve the page until Ctrl-C, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Models and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    options = parsed(ServeOptions, _DESCRIPTION, argv, prog=prog)
    need("gradio", "gradio", "the web page")
    device = choose_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        page = page_of(Viewer(options.model, device, Path(folder)))
        page.launch(
            server_name="127.0.0.1",
            server_port=options.port,
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f"open http://127.0.0.1:{options.port} (Ctrl-C ends it)", flush=True)
        page.block_thread()


def page_of(viewer: Viewer) -> Any:  # gradio's types are not there without it
    """The page, which `launch()` serves.

    Parameters
    ----------
    viewer : Viewer
        Its models, and what is drawn.

    Raises
    ------
    DataError
        When gradio is not installed.
    """
    gr: Any = need("gradio", "gradio", "the web page")
    models = list(viewer.samplers)

    def pick(model: str) -> Any:
        names = viewer.clip_names(model)
        return gr.Dropdown(choices=names, value=names[0] if names else None)

    def look(*given: Any) -> tuple[str, str, str, str]:
        try:
            return _looked_at(viewer, *given)
        except SVGError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title="svg_pyro: futures", analytics_enabled=False) as page:
        gr.Markdown(
            "# Where a video may go\nA model sees a clip's first frames and samples "
            "several futures of it. Pick a clip, or drop a video of yours."
        )
        with gr.Row():
            model = gr.Dropdown(models, value=models[0], label="model")
            clips = viewer.clip_names(models[0])
            picked = gr.Dropdown(
                clips, value=clips[0] if clips else None, label="a clip"
            )
            video = gr.File(
                label="or a video of yours, instead of the clip",
                type="filepath",
                height=160,
            )
        with gr.Row():
            horizon = gr.Slider(1, _LONGEST, 15, step=1, label="frames to generate")
            count = gr.Slider(1, _MOST_FUTURES, 4, step=1, label="futures")
            button = gr.Button("Show futures", variant="primary")
        gr.Markdown("### Futures, and how far they differ")
        words, futures = gr.Markdown(), gr.HTML()
        gr.Markdown("### Surprise of each frame")
        surprise_words, surprise = gr.Markdown(), gr.HTML()
        model.change(pick, model, picked)
        given = [model, picked, video, horizon, count]
        shown = [words, futures, surprise_words, surprise]
        button.click(look, given, shown)
        if clips:
            page.load(look, given, shown)
    return page


def _looked_at(
    viewer: Viewer,
    model: str,
    picked: str | None,
    video: str | None,
    horizon: float,
    count: float,
) -> tuple[str, str, str, str]:
    """Words and pictures of futures, and of surprises, from the page's fields."""
    clip = viewer.clip(model, picked, video, int(horizon))
    seen = viewer.look(model, clip, int(horizon), int(count))
    return (
        seen.words,
        _picture(seen.futures, "Futures"),
        seen.surprise_words,
        "" if seen.surprise is None else _picture(seen.surprise, "Surprise"),
    )


def _picture(path: Path, title: str) -> str:
    """HTML of a picture, which a small screen moves sideways and does not shrink."""
    kind = path.suffix[1:]
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<div style="overflow-x: auto"><img id="{path.stem}-{kind}" alt="{title}" '
        'style="max-width: max(100%, 44rem); height: auto" '
        f'src="data:image/{kind};base64,{data}"></div>'
    )
