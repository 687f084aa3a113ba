"""Which bases and region types made the model say so: attribution maps of all inputs, for any task.

Every verb takes ``(model, windows, task=...)`` and returns :class:`Attributions`. Maps have the shape of the inputs
and are in RNA sense like them (position 0 is the 5' end). A task given as a list adds an axis of tasks after the sites.

Unknown bases (N, 0.25 in each channel) carry no letter: their values are kept in the arrays, so that sums stay
complete, but :func:`letter_scores` - and with it logos, motif windows and sums over letters - leaves them out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.attribution.gradients import DEFAULT_POINTS, Inputs, path_gradients, path_points
from ripe_lib.attribution.inputs import baseline_inputs, network_inputs, task_list
from ripe_lib.attribution.maps import Attributions, CompletenessWarning, GapCount, gaps_ignored, letter_scores
from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.encoding import codes_from_one_hot, one_hot
from ripe_lib.genome.landmarks import decode_landmarks
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.network.inputs import OUTPUTS
from ripe_lib.network.load import Model

DEFAULT_RULE = "midpoint"
_ISM_WINDOWS = 64  # at a time


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
    """Attribute the output of a task to all inputs by integrated gradients.

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
    indices, several, inputs, start = _prepared(model, windows, task, baseline)
    points, weights = path_points(rule, n_steps)
    maps = path_gradients(
        model, inputs, start, indices, points=points, weights=weights, output=output, batch_size=batch_size
    )
    for one, end, begin in zip(maps.present(), inputs.present(), start.present(), strict=True):
        one *= (end - begin)[:, np.newaxis]
    change = _outputs(model, inputs, indices, output) - _outputs(model, start, indices, output)
    found = _with_gap(maps, change)
    count = GapCount()
    count.add(found)
    if count.n_large:
        warnings.warn(f"{count.sentence()}. Raise n_steps (now {n_steps}).", CompletenessWarning, stacklevel=2)
    return _squeezed(found, several)


def explained_codes(
    model: Model, windows: CodeWindows, task: str | Sequence[str], *, n_steps: int = 50
) -> tuple[Attributions, NDArray[np.float32]]:
    """Return integrated gradients of windows given as codes, without a warning, and the scores of their letters.

    Parameters but ``windows`` as :func:`integrated_gradients`; the scores (B, L), with a list of K tasks (B, K, L), are
    :func:`~ripe_lib.attribution.maps.letter_scores`.
    """
    arrays = windows.inputs(model.spec.landmark_bases)
    with gaps_ignored():
        maps = integrated_gradients(model, arrays, task=task, n_steps=n_steps)
    return maps, letter_scores(maps.seq, arrays["seq"] if isinstance(task, str) else arrays["seq"][:, None])


def saliency(model: Model, windows: Any, *, task: str | Sequence[str], **options: Any) -> Attributions:
    """Return the absolute gradient of the output for every input channel (also of bases that are not there).

    Parameters, returned shapes and errors as :func:`input_gradients`.
    """
    return input_gradients(model, windows, task=task, **options).changed(lambda _, one: np.abs(one))


def gradient_x_input(model: Model, windows: Any, *, task: str | Sequence[str], **options: Any) -> Attributions:
    """Return gradient times input; parameters, shapes and errors as :func:`input_gradients`."""
    inputs = network_inputs(model, windows)
    gradients = input_gradients(model, inputs, task=task, **options)
    spread = (slice(None), np.newaxis) if gradients.gap.ndim == 2 else slice(None)
    return gradients.changed(lambda name, one: one * getattr(inputs, name)[spread])


def input_gradients(
    model: Model,
    windows: Any,
    *,
    task: str | Sequence[str],
    output: str = "probability",
    batch_size: int = DEFAULT_POINTS,
) -> Attributions:
    """Return the plain gradient of the output with respect to every input channel; ``gap`` is NaN.

    Parameters, shapes and errors as :func:`integrated_gradients`.
    """
    indices, several, inputs, start = _prepared(model, windows, task, "zeros")
    one = np.ones(1, dtype=np.float32)
    maps = path_gradients(model, inputs, start, indices, points=one, weights=one, output=output, batch_size=batch_size)
    return _squeezed(Attributions(*maps, np.full(maps.seq.shape[:2], np.nan)), several)


def deeplift(
    model: Model, windows: Any, *, task: str | Sequence[str], baseline: str | Mapping[str, Any] = "paper"
) -> Attributions:
    """Return DeepLIFT contributions to the logit (genomics default: RevealCancel on dense, Rescale on conv layers).

    Computed by the ``deeplift`` package, see :mod:`ripe_lib.attribution.deeplift_bridge`. Contributions do not add up
    exactly everywhere (the bridge says where); ``gap``, in units of the logit, says by how much. Parameters, shapes
    and errors as :func:`integrated_gradients`; :class:`~ripe_lib.errors.MissingPackageError` if the package is not
    installed.
    """
    from ripe_lib.attribution.deeplift_bridge import deeplift_contributions

    indices, several, inputs, start = _prepared(model, windows, task, baseline)
    per_task = zip(*(deeplift_contributions(model, inputs, start, index) for index in indices), strict=True)
    maps = Inputs._make(None if one[0] is None else np.stack(one, axis=1) for one in per_task)
    change = _outputs(model, inputs, indices, "logit") - _outputs(model, start, indices, "logit")
    return _squeezed(_with_gap(maps, change), several)


def ism(model: Model, windows: Any, *, task: str | Sequence[str], output: str = "probability") -> Attributions:
    """Return in-silico mutagenesis: what every substitution of every position changes.

    Exact, by :meth:`ripe_lib.network.network.Network.substitutions`. ``seq`` holds output(mutant) - output(window), 0
    at the base that is there; at an unknown base all four count. For one value per letter see :func:`ism_letters`.
    Region types are not mutated: ``region`` is None; ``gap`` is NaN. Parameters, shapes and errors as
    :func:`integrated_gradients`.

    Raises
    ------
    InputError
        If a window is not one-hot (or 0.25 in each channel): there is no base to replace.
    """
    tasks, several = task_list(model, task)
    inputs = network_inputs(model, windows)
    check_known("output", output, OUTPUTS)
    codes = {}
    for name, array in (("seq", inputs.seq), ("region", inputs.region)):
        if array is None:
            continue
        codes[name] = codes_from_one_hot(array)
        wrong = np.flatnonzero((one_hot(codes[name]) != array).any(axis=(1, 2)))
        if wrong.size:
            raise InputError(
                f"in-silico mutagenesis: expected one-hot windows (0.25 where unknown), got other numbers in {name!r} "
                f"of {wrong.size} of {len(array)} windows (first: row {wrong[0]})."
            )
    distances = None if inputs.landmarks is None else decode_landmarks(inputs.landmarks)
    references = CodeWindows(**codes, landmarks=distances)
    columns = [model.spec.task_index(name) for name in tasks]
    changes = np.zeros((len(inputs.seq), len(tasks), *inputs.seq.shape[1:]), dtype=np.float32)
    for start in range(0, len(changes), _ISM_WINDOWS):
        state = model.network.reference(*references.take(slice(start, start + _ISM_WINDOWS)))
        site, position, base = np.nonzero(np.arange(4) != state.seq_codes[..., np.newaxis])
        after = model.network.substitutions(state, site, position, base)[:, columns]
        before = state.logits[:, columns]
        if output == "probability":
            after, before = expit(after), expit(before)
        changes[start + site, :, position, base] = after - before[site]
    return _squeezed(Attributions(changes, None, None, np.full(changes.shape[:2], np.nan)), several)


# --- completeness --------------------------------------------------------------------------------------------------


def _prepared(
    model: Model, windows: Any, task: str | Sequence[str], baseline: str | Mapping[str, Any]
) -> tuple[list[int], bool, Inputs, Inputs]:
    """Return the columns of the tasks, whether several were asked for, and the two ends of the path."""
    tasks, several = task_list(model, task)
    inputs = network_inputs(model, windows)
    start = baseline_inputs(model, inputs, baseline)
    return [model.spec.task_index(name) for name in tasks], several, inputs, start


def _outputs(model: Model, inputs: Inputs, indices: Sequence[int], output: str) -> NDArray[np.float64]:
    """Return (B, K) float64 values of the explained output."""
    return model.network.probabilities(*inputs, output=output)[:, list(indices)].astype(np.float64)


def _with_gap(maps: Inputs, change: NDArray[np.float64]) -> Attributions:
    """Return maps with what their sums miss of the output's change (B, K)."""
    found = Attributions(*maps, change)
    return found._replace(gap=found.total() - change)


def _squeezed(maps: Attributions, several: bool) -> Attributions:
    return maps if several else maps.for_task(0)
