"""What an SVG is to Pyro and PyTorch: a root in the parameter store, and weights."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from pyro.nn import PyroModule, pyro_method
from torch import nn

from svg_pyro.errors import ConfigError
from svg_pyro.model.pyro_internals import rename, root_name


class Program(nn.Module):
    """A Pyro program of a model, as a module: its weights are the model's.

    So ``Trace_ELBO()(svg.model, svg.guide)`` has parameters to optimise.

    Parameters
    ----------
    svg : torch.nn.Module
        The model.
    run : callable
        Called with the model and what `forward` is given.
    """

    def __init__(self, svg: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.svg = svg
        self.training = svg.training
        self._run = run

    def forward(self, *given: Any, **options: Any) -> Any:
        """Run the program."""
        return self._run(self.svg, *given, **options)


class program:
    """A method that is a Pyro program: as an attribute of a model, a `Program`."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._with_context = pyro_method(run)
        self.__doc__ = run.__doc__

    def __get__(self, svg: nn.Module | None, owner: type) -> Any:
        return self._run if svg is None else Program(svg, self._with_context)


Model = TypeVar("Model", bound="Root")


class Root(PyroModule):
    """A PyroModule with a root name of its own in the parameter store.

    So several models can be trained in one process, copies among them.
    """

    def __init__(self) -> None:
        super().__init__(root_name())

    def with_networks(self: Model, encoder: nn.Module, decoder: nn.Module) -> Model:
        """A model that has another encoder and decoder, and shares all other parts.

        Parameters
        ----------
        encoder, decoder : torch.nn.Module
            Of the same frames, features and skips: folded or compiled copies.
        """
        other = type(self).__new__(type(self))
        # Not by `copy`, which would give the shared parts another root name.
        other.__dict__.update(self.__dict__)
        modules = {**self._modules, "encoder": encoder, "decoder": decoder}
        other.__dict__["_modules"] = modules
        return other

    def load_state_dict(
        self,
        state_dict: Mapping[str, torch.Tensor],
        strict: bool = True,
        assign: bool = False,
    ) -> tuple[list[str], list[str]]:
        """As of any module; also weights of earlier versions.

        Those had `log_sigma` where there is an observation model now, and no running
        sigma.
        """
        weights = dict(state_dict)
        if "log_sigma" in weights:
            weights["observation.log_sigma"] = weights.pop("log_sigma")
        for name, value in self.observation.named_buffers(prefix="observation"):
            weights.setdefault(name, value)
        result: tuple[list[str], list[str]] = super().load_state_dict(
            weights, strict=strict, assign=assign
        )
        return result

    def check_contiguous(self) -> None:
        """Refuse weights that Pyro's parameter store would copy.

        Raises
        ------
        ConfigError
            When a weight is not contiguous, and gradients are wanted.
        """
        if torch.is_grad_enabled() and not all(
            p.is_contiguous() for p in self.parameters()
        ):
            raise ConfigError(
                "weights are not contiguous: Pyro's parameter store would train copies "
                "of them; call svg.to(memory_format=torch.contiguous_format)"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copy that kept its root name would read the original's parameters in
        # the store, and train nothing.
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # PyTorch's
        rename(self, root_name())
