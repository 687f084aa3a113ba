"""Which bases and region types made the model say so: attribution maps of both inputs, for any task.

Every verb takes ``(model, windows, task=...)`` and returns :class:`Attributions`. Maps have the shape of the inputs
and are in RNA sense like them (position 0 is the 5' end). A task given as a list adds an axis of tasks after the sites.

Unknown bases (N, 0.25 in each channel) carry no letter: their values are kept in the arrays, so that sums stay
complete, but :func:`letter_scores` - and with it logos, motif windows and sums over letters - leaves them out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.encoding import OneHot, codes_from_one_hot, one_hot
from ripe_lib.errors import InputError, ShapeMismatchError, unknown_name
from ripe_lib.gradients import DEFAULT_POINTS, Inputs, path_gradients, path_points
from ripe_lib.models import Model
from ripe_lib.predict import checked_windows, compiled_call, logit_model, run_batches

DEFAULT_RULE = "midpoint"
# A completeness gap is reported when it passes both: this much of the output's change, and this much in itself.
GAP_FRACTION = 0.05
GAP_FLOOR = 0.01
UNKNOWN_REGION = 0.25


class CompletenessWarning(UserWarning):
    """The attributions of some maps do not add up to the change of the output."""


class Attributions(NamedTuple):
    """Attribution maps; with a list of K tasks every array has an axis K after the first.

    Attributes
    ----------
    seq : float32 array (B, L, 4)
        Channels A C G U. Positive values raise the output.
    region : float32 array (B, R, 4) or None
        Channels intron, CDS, 3'UTR, 5'UTR. None if the model or the method has no region part.
    gap : float64 array (B,)
        Sum of both maps minus (output - output of the baseline), in units of the output. NaN for methods that do not
        claim to add up.
    """

    seq: NDArray[np.float32]
    region: NDArray[np.float32] | None
    gap: NDArray[np.float64]

    def for_task(self, index: int) -> Attributions:
        """Return the maps of one of several tasks (its place in the list that was asked for)."""
        return Attributions(
            self.seq[:, index], None if self.region is None else self.region[:, index], self.gap[:, index]
        )


def integrated_gradients(
    model: Model,
    windows: Any,
    *,
    task: str | Sequence[str],
    n_steps: int = 50,
    baseline: str | Mapping[str, Any] = "paper",
    rule: str = DEFAULT_RULE,
    output: str = "probability",
    batch_size: int = DEFAULT_POINTS,
) -> Attributions:
    """Attribute the output of a task to both inputs by integrated gradients.

    Parameters
    ----------
    model : Model
    windows : Windows, dict, or array
        As for :func:`ripe_lib.predict`; a missing ``region`` is 0.25 everywhere.
    task : str or sequence of str
        One task, or several (then all arrays have an axis of tasks after the sites).
    n_steps : int
        Points on the path (``trapezoid``: one more). The cost grows with it, the gap falls.
    baseline : str or dict
        Where the path starts. ``"paper"``: 0 for the sequence, 0.25 for the region types; so a window without region
        information gets region attributions of exactly 0. ``"zeros"``: 0 for both, as the published software.
        ``{"seq": ..., "region": ...}``: numbers or arrays (L, 4), (B, L, 4); a missing key is as in ``"paper"``.
    rule : str
        ``"midpoint"`` (default: the smallest gap at equal cost in ``benchmarks/bench_attribution.py``), ``"left"``
        (s / n for s = 0..n-1, as the published software) or ``"trapezoid"``.
    output : str
        ``"probability"`` or ``"logit"``: what is explained.
    batch_size : int
        Network evaluations per call; the result does not depend on it.

    Returns
    -------
    Attributions
        ``gap`` says how far the sum of a map is from the change of the output.

    Warns
    -----
    CompletenessWarning
        Once per call, with counts, if gaps pass :data:`GAP_FRACTION` of the output's change and :data:`GAP_FLOOR`.

    Raises
    ------
    UnknownNameError
        For a task, rule, baseline or output that does not exist; the nearest names are given.
    ShapeMismatchError, InputError
        If windows or baseline do not fit the model.

    Notes
    -----
    Source: Sundararajan et al. 2017, formula 3; the paper's Methods for the baseline. The published software uses
    ``baseline="zeros", rule="left"``; the paper's text says 0 and 0.25.

    The points of a path are multiplied out in float32 and averaged inside the compiled graph; the difference
    ``input - baseline`` is applied once, at the end.
    """
    tasks, several = task_list(model, task)
    inputs = network_inputs(model, windows)
    start = baseline_inputs(model, inputs, baseline)
    points, weights = path_points(rule, n_steps)
    indices = [model.spec.task_index(name) for name in tasks]
    seq, region = path_gradients(
        model, inputs, start, indices, points=points, weights=weights, output=output, batch_size=batch_size
    )
    seq *= (inputs.seq - start.seq)[:, np.newaxis]
    if region is not None and inputs.region is not None and start.region is not None:
        region *= (inputs.region - start.region)[:, np.newaxis]
    values = _outputs(model, inputs, indices, output)
    start_values = _outputs(model, start, indices, output)
    found = Attributions(seq, region, _gap(seq, region, values - start_values))
    count = GapCount()
    count.add(found)
    if count.n_large:
        warnings.warn(f"{count.sentence()}. Raise n_steps (now {n_steps}).", CompletenessWarning, stacklevel=2)
    return _squeezed(found, several)


def saliency(
    model: Model,
    windows: Any,
    *,
    task: str | Sequence[str],
    output: str = "probability",
    batch_size: int = DEFAULT_POINTS,
) -> Attributions:
    """Return the absolute gradient of the output for every input channel (also of bases that are not there).

    Parameters, returned shapes and errors as :func:`integrated_gradients`; ``gap`` is NaN.
    """
    gradients = input_gradients(model, windows, task=task, output=output, batch_size=batch_size)
    region = None if gradients.region is None else np.abs(gradients.region)
    return Attributions(np.abs(gradients.seq), region, gradients.gap)


def gradient_x_input(
    model: Model,
    windows: Any,
    *,
    task: str | Sequence[str],
    output: str = "probability",
    batch_size: int = DEFAULT_POINTS,
) -> Attributions:
    """Return gradient times input; parameters, shapes and errors as :func:`integrated_gradients`; ``gap`` is NaN."""
    inputs = network_inputs(model, windows)
    gradients = input_gradients(model, inputs, task=task, output=output, batch_size=batch_size)
    several = gradients.gap.ndim == 2
    seq = gradients.seq * (inputs.seq[:, np.newaxis] if several else inputs.seq)
    region = None
    if gradients.region is not None and inputs.region is not None:
        region = gradients.region * (inputs.region[:, np.newaxis] if several else inputs.region)
    return Attributions(seq, region, gradients.gap)


def input_gradients(
    model: Model,
    windows: Any,
    *,
    task: str | Sequence[str],
    output: str = "probability",
    batch_size: int = DEFAULT_POINTS,
) -> Attributions:
    """Return the plain gradient of the output with respect to every input channel; ``gap`` is NaN."""
    tasks, several = task_list(model, task)
    inputs = network_inputs(model, windows)
    start = baseline_inputs(model, inputs, "zeros")
    one = np.ones(1, dtype=np.float32)
    indices = [model.spec.task_index(name) for name in tasks]
    seq, region = path_gradients(
        model, inputs, start, indices, points=one, weights=one, output=output, batch_size=batch_size
    )
    return _squeezed(Attributions(seq, region, np.full(seq.shape[:2], np.nan)), several)


def deeplift(
    model: Model, windows: Any, *, task: str | Sequence[str], baseline: str | Mapping[str, Any] = "paper"
) -> Attributions:
    """Return DeepLIFT contributions to the logit (genomics default: RevealCancel on dense, Rescale on conv layers).

    Computed by the ``deeplift`` package, see :mod:`ripe_lib.deeplift_bridge`. Contributions do not add up exactly
    everywhere (the bridge says where); ``gap``, in units of the logit, says by how much. Parameters, shapes and errors
    as :func:`integrated_gradients`; :class:`~ripe_lib.errors.MissingPackageError` if the package is not installed.
    """
    from ripe_lib.deeplift_bridge import deeplift_contributions

    tasks, several = task_list(model, task)
    inputs = network_inputs(model, windows)
    start = baseline_inputs(model, inputs, baseline)
    indices = [model.spec.task_index(name) for name in tasks]
    maps = [deeplift_contributions(model, inputs, start, index) for index in indices]
    seq = np.stack([one.seq for one in maps], axis=1)
    region_maps = [one.region for one in maps if one.region is not None]
    region = np.stack(region_maps, axis=1) if region_maps else None
    change = _outputs(model, inputs, indices, "logit") - _outputs(model, start, indices, "logit")
    return _squeezed(Attributions(seq, region, _gap(seq, region, change)), several)


def ism(model: Model, windows: Any, *, task: str | Sequence[str], output: str = "probability") -> Attributions:
    """Return in-silico mutagenesis: what every substitution of every position changes.

    Exact, by :mod:`ripe_lib.incremental`. ``seq`` holds output(mutant) - output(window), 0 at the base that is there;
    at an unknown base all four count. For one value per letter see :func:`ism_letters`. Region types are not mutated:
    ``region`` is None; ``gap`` is NaN. Parameters, shapes and errors as :func:`integrated_gradients`.

    Raises
    ------
    InputError
        If a window is not one-hot (or 0.25 in each channel): there is no base to replace.
    """
    from ripe_lib.incremental import in_silico_mutagenesis

    tasks, several = task_list(model, task)
    inputs = network_inputs(model, windows)
    codes = []
    for name, array in zip(("seq", "region"), inputs, strict=True):
        if array is None:
            continue
        codes.append(codes_from_one_hot(array))
        wrong = np.flatnonzero((one_hot(codes[-1]) != array).any(axis=(1, 2)))
        if wrong.size:
            raise InputError(
                f"in-silico mutagenesis: expected one-hot windows (0.25 where unknown), got other numbers in {name!r} "
                f"of {wrong.size} of {len(array)} windows (first: row {wrong[0]})."
            )
    changes = in_silico_mutagenesis(model, codes[0], codes[1] if len(codes) > 1 else None, tasks, output=output)
    changes *= (inputs.seq < 0.99)[..., np.newaxis]
    seq = np.ascontiguousarray(np.moveaxis(changes, -1, 1))
    return _squeezed(Attributions(seq, None, np.full(seq.shape[:2], np.nan)), several)


def letter_scores(seq_map: NDArray[np.floating], seq: OneHot) -> NDArray[np.float32]:
    """Return one value per position: the map at the letter that is there, 0 where the base is unknown.

    Parameters
    ----------
    seq_map : array (..., L, 4)
        ``Attributions.seq``.
    seq : array (..., L, 4)
        The one-hot windows, broadcast against ``seq_map``.

    Returns
    -------
    float32 array (..., L)
    """
    return np.where(known_bases(seq), (seq_map * (seq > 0.99)).sum(axis=-1), 0.0).astype(np.float32)


def ism_letters(changes: NDArray[np.floating], seq: OneHot) -> NDArray[np.float32]:
    """Return one importance per position of an in-silico mutagenesis map: minus the mean change of its substitutions.

    Parameters
    ----------
    changes : array (..., L, 4)
        Output of the mutant minus output of the window; 0 at the base that is there.
    seq : array (..., L, 4)
        The one-hot windows.

    Returns
    -------
    float32 array (..., L)
        Positive where the base raises the output; 0 where it is unknown.
    """
    return np.where(known_bases(seq), -changes.sum(axis=-1) / 3, 0.0).astype(np.float32)


def known_bases(seq: OneHot) -> NDArray[np.bool_]:
    """Return (..., L): whether a position holds a letter (not N, which is 0.25 in each channel)."""
    return seq.max(axis=-1) > 0.99


# --- inputs --------------------------------------------------------------------------------------------------------


def task_list(model: Model, task: str | Sequence[str]) -> tuple[list[str], bool]:
    """Return the tasks asked for, checked, and whether they came as a list."""
    several = not isinstance(task, str)
    tasks = list(task) if several else [str(task)]
    if not tasks:
        raise InputError(f"model {model.name}: expected at least one task, got none.")
    for name in tasks:
        model.spec.task_index(name)
    return tasks, several


def network_inputs(model: Model, windows: Any) -> Inputs:
    """Return float32 arrays that fit the model; region types that are not given are unknown (0.25)."""
    seq, region = checked_windows(model, windows)
    if region is None and model.spec.has_region:
        region = np.full((len(seq), model.spec.region_length, 4), UNKNOWN_REGION, dtype=np.float32)
    return Inputs(seq, region)


def baseline_inputs(model: Model, inputs: Inputs, baseline: str | Mapping[str, Any]) -> Inputs:
    """Return the start of the paths, one for all sites or one each."""
    paper: dict[str, Any] = {"seq": 0.0, "region": UNKNOWN_REGION}
    if isinstance(baseline, str):
        if baseline not in ("paper", "zeros"):
            raise unknown_name("baseline", baseline, ("paper", "zeros"), 'Or give {"seq": ..., "region": ...}.')
        chosen = paper if baseline == "paper" else {"seq": 0.0, "region": 0.0}
    elif isinstance(baseline, Mapping):
        for key in baseline:
            if key not in paper:
                raise unknown_name("baseline input", str(key), paper)
        chosen = {**paper, **baseline}
    else:
        raise InputError(f'baseline: expected "paper", "zeros" or a dict, got {type(baseline).__name__}.')
    arrays = {
        name: _spread(chosen[name], array, f"baseline {name!r}")
        for name, array in zip(("seq", "region"), inputs, strict=True)
        if array is not None
    }
    n_starts = max(len(array) for array in arrays.values())
    arrays = {name: np.broadcast_to(array, (n_starts, *array.shape[1:])) for name, array in arrays.items()}
    return Inputs(arrays["seq"], arrays.get("region"))


def _spread(value: Any, like: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    array = np.asarray(value, dtype=np.float32)
    if array.ndim < 3:
        array = array[(np.newaxis,) * (3 - array.ndim)]
    target = (len(like) if len(array) > 1 else 1, *like.shape[1:])
    try:
        return np.ascontiguousarray(np.broadcast_to(array, target))
    except ValueError:
        raise ShapeMismatchError(
            f"{where}: expected a number or shape {like.shape[1:]} or {like.shape}, got {np.shape(value)}."
        ) from None


# --- completeness --------------------------------------------------------------------------------------------------


def _outputs(model: Model, inputs: Inputs, indices: Sequence[int], output: str) -> NDArray[np.float64]:
    """Return (B, K) float64 values of the explained output."""
    call = compiled_call(model) if output == "probability" else _compiled_logits(model)
    return run_batches(model, call, inputs.seq, inputs.region)[:, list(indices)].astype(np.float64)


def _compiled_logits(model: Model) -> Callable[..., Any]:
    if "logits" not in model.cache:
        import tensorflow as tf

        network = logit_model(model)
        signature = [tf.TensorSpec((None, *tensor.shape[1:]), tf.float32) for tensor in network.inputs]
        compiled = tf.function(lambda *arrays: network(list(arrays), training=False), input_signature=signature)

        def call(seq: NDArray[Any], region: NDArray[Any] | None) -> NDArray[np.float32]:
            return compiled(*(tf.constant(a) for a in (seq, region) if a is not None)).numpy()

        model.cache["logits"] = call
    return model.cache["logits"]


def _gap(
    seq: NDArray[np.float32], region: NDArray[np.float32] | None, change: NDArray[np.float64]
) -> NDArray[np.float64]:
    total = seq.sum(axis=(2, 3), dtype=np.float64)
    if region is not None:
        total += region.sum(axis=(2, 3), dtype=np.float64)
    return total - change


def is_gap_large(gap: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a completeness gap passes the stated bound."""
    return np.abs(gap) > np.maximum(GAP_FRACTION * np.abs(change), GAP_FLOOR)


@dataclass
class GapCount:
    """How well maps add up, collected over many of them.

    Attributes
    ----------
    n_maps, n_large : int
        Maps with a gap, and those past the stated bound.
    largest : float
        Largest gap, in units of the output.
    """

    n_maps: int = 0
    n_large: int = 0
    largest: float = 0.0

    def add(self, maps: Attributions) -> None:
        """Count maps; those without a gap (NaN) are passed over."""
        gap = maps.gap
        total = maps.seq.sum(axis=(-2, -1), dtype=np.float64)
        if maps.region is not None:
            total += maps.region.sum(axis=(-2, -1), dtype=np.float64)
        known = np.isfinite(gap)
        self.n_maps += int(known.sum())
        self.n_large += int(is_gap_large(gap[known], (total - gap)[known]).sum())
        self.largest = max(self.largest, float(np.abs(gap[known]).max(initial=0.0)))

    def sentence(self) -> str:
        """Say it in words."""
        return (
            f"{self.n_large} of {self.n_maps} attribution maps miss the change of the output by more than "
            f"{GAP_FRACTION:.0%} of it and {GAP_FLOOR} (largest gap {self.largest:.3g})"
        )


def _squeezed(maps: Attributions, several: bool) -> Attributions:
    return maps if several else maps.for_task(0)
