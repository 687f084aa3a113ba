"""Kipoi's interpretation plugin (kipoi-interpret 0.1.2) on DeepRiPe models.

:func:`register_if_installed` runs when a DeepRiPe model is loaded:

* ``feature_importance(model, dataloader, "intgrad" | "deeplift", {...})`` work on our models. The plugin's own
  ``intgrad`` is not implemented and its ``deeplift`` takes Keras 2 Sequential models only; for every other model these
  stay what they are. ``mutation`` gives arrays on our models, because Kipoi cannot join the lists of several batches.
* Slips in the plugin's own methods that raise on every model are mended: ``collections.Mapping`` (gone since Python
  3.10), a set in place of a dict in the product of gradient and input, ``Saliency.score`` (passes itself twice, and
  takes ``abs`` of a dict), ``Mutation.is_compatible`` (called without an instance).
"""

from __future__ import annotations

import collections.abc
import importlib.util
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from dataloaders.containers import like_input
from ripe_lib.errors import InputError


def register_if_installed() -> bool:
    """Register our methods if kipoi-interpret is there; returns whether it is. Calling it again changes nothing."""
    if importlib.util.find_spec("kipoi_interpret") is None:
        return False
    from kipoi_interpret.importance_scores import ism, referencebased

    if not getattr(referencebased.METHODS["intgrad"], "serves_deepripe", False):
        _mend_stock_methods()
        for name, ours in (("intgrad", "integrated_gradients"), ("deeplift", "deeplift")):
            referencebased.METHODS[name] = _with_ours(name, referencebased.METHODS[name], ours)
        ism.METHODS["mutation"] = _mutation_with_arrays(ism.METHODS["mutation"])
    return True


def mend_commands() -> None:
    """Let ``kipoi interpret`` read ``--dataloader_args`` as Kipoi 0.8 hands it over (:mod:`dataloaders.startup`)."""
    from kipoi_interpret import cli
    from kipoi_interpret.importance_scores import cli as scores_cli

    for module in (cli, scores_cli):
        module.parse_json_file_str = _parse_arguments


def _parse_arguments(given: Any) -> Any:
    from kipoi_utils.utils import parse_json_file_str, parse_json_file_str_or_arglist

    if given is None:
        return {}
    return parse_json_file_str_or_arglist(given) if isinstance(given, list) else parse_json_file_str(given)


def _is_ours(model: Any) -> bool:
    return hasattr(model, "ripe_model")


def _with_ours(name: str, stock: Any, ours: str) -> type:
    """Return a method class that serves DeepRiPe models and leaves the others to the plugin's own class."""
    from kipoi_interpret.importance_scores.base import ImportanceScore

    class DeepRipeScore(ImportanceScore):
        serves_deepripe = True

        def __new__(cls, model: Any, *arguments: Any, **options: Any) -> Any:
            # An instance of another class is returned as it is, without our __init__.
            return super().__new__(cls) if _is_ours(model) else stock(model, *arguments, **options)

        def __init__(self, model: Any, task: str | int | None = None, **options: Any) -> None:
            self.model = model
            self.task = _task_name(model, name, task, options)
            self.options = options

        @classmethod
        def is_compatible(cls, model: Any, *arguments: Any, **options: Any) -> bool:
            return True if _is_ours(model) else stock.is_compatible(model, *arguments, **options)

        def score(self, input_batch: Any, input_ref: Any = None) -> Any:
            """Return attributions in the container and shapes of ``input_batch``."""
            return _maps(ours, self.model, input_batch, input_ref, self.task, self.options)

    DeepRipeScore.__name__ = DeepRipeScore.__qualname__ = f"DeepRipe{stock.__name__}"
    DeepRipeScore.__doc__ = f"``{name}`` for DeepRiPe models; {stock.__name__} of kipoi-interpret for others."
    return DeepRipeScore


def _mutation_with_arrays(stock: Any) -> Any:
    """Return the plugin's in-silico mutagenesis whose scores are an array on DeepRiPe models."""

    class DeepRipeMutation(stock):
        """``score`` gives (B, L, 4, scores, T), NaN where the base is the window's own; else as the plugin's."""

        def score(self, input_batch: Any) -> Any:
            scores = super().score(input_batch)
            return _as_array(scores) if _is_ours(self.model) and not self.model.named_outputs else scores

    return DeepRipeMutation


def _as_array(scores: list[Any]) -> Any:
    """Turn nested lists (B, L, 4) of lists of arrays, or None, into one array."""
    cells = [cell for sample in scores for position in sample for cell in position]
    known = [np.asarray(cell, dtype=np.float32) for cell in cells if cell is not None]
    if not known:
        return np.empty((len(scores), 0, 4), dtype=np.float32)
    unknown = np.full(known[0].shape, np.nan, dtype=np.float32)
    filled = iter(known)
    flat = np.stack([unknown if cell is None else next(filled) for cell in cells])
    return flat.reshape(len(scores), len(scores[0]), -1, *known[0].shape)


def _task_name(model: Any, method: str, task: str | int | None, options: dict[str, Any]) -> str:
    """Settle which task is explained: ``task``, or the plugin's ``filter_idx`` / ``task_idx`` (name or index)."""
    for alias in ("filter_idx", "task_idx"):
        other = options.pop(alias, None)
        task = other if task is None else task
    if task is None and len(model.tasks) == 1:
        return model.tasks[0]
    if task is None:
        raise InputError(f"{method}: expected task=..., a name or index, got none. The tasks are: {model.tasks}")
    if isinstance(task, str):
        return model.tasks[model.ripe_model.spec.task_index(task)]
    if not 0 <= task < len(model.tasks):
        raise InputError(f"{method}: expected a task index from 0 to {len(model.tasks) - 1}, got {task}.")
    return model.tasks[task]


def _windows(model: Any, batch: Any) -> dict[str, Any]:
    from ripe_lib.network.inputs import INPUT_NAMES, checked_windows

    arrays = checked_windows(model.ripe_model.spec, batch)
    return {name: array for name, array in zip(INPUT_NAMES, arrays, strict=True) if array is not None}


def _maps(method: str, model: Any, batch: Any, reference: Any, task: str, options: dict[str, Any]) -> Any:
    from ripe_lib.attribution import compute

    if reference is not None:
        options = {**options, "baseline": _windows(model, reference)}
    maps = getattr(compute, method)(model.ripe_model, _windows(model, batch), task=task, **options)
    return like_input(batch, [one for one in maps[:3] if one is not None])


# --- the plugin's own methods -------------------------------------------------------------------------------------


def _mend_stock_methods() -> None:
    from kipoi_interpret import utils
    from kipoi_interpret.importance_scores import gradient, ism

    utils.collections = collections.abc
    gradient.nested_mul = lambda x, y: _each(operator.mul, x, y)
    gradient.Saliency.score = lambda self, input_batch: _each(np.abs, gradient.Gradient.score(self, input_batch))
    ism.Mutation.is_compatible = classmethod(lambda cls, model: True)


def _each(function: Any, first: Any, *others: Any) -> Any:
    """Apply a function to the arrays of equal containers."""
    if isinstance(first, Mapping):
        return {name: _each(function, one, *(other[name] for other in others)) for name, one in first.items()}
    if isinstance(first, list | tuple):
        return [_each(function, *ones) for ones in zip(first, *others, strict=True)]
    return function(first, *others)
