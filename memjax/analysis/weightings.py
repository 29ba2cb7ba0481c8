"""Where a memory with slots looks: its read and write weightings as a picture.

Any memory that shows `read_weights` or `write_weights` of slots can be looked
at: an NTM, a DNC, an entity network.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.intermediates import Shown, look
from memjax.errors import require
from memjax.models.base import Memory
from memjax.types import Params

Weightings = dict[str, np.ndarray]
OF_SLOTS = ('read_weights', 'write_weights')
SEEN = 0.05  # a slot that no head ever gives more is left out of the picture


def weightings(
  model: Memory, params: Params, inputs_TF: np.ndarray
) -> tuple[np.ndarray, Weightings]:
  """What the model answers to one row, and where its heads are meanwhile.

  Args:
    model: any memory.
    params: its parameters.
    inputs_TF: one row of inputs, read from an empty memory.

  Returns:
    The outputs, `(T, ...)`, and {'layer_0/memory/read_weights': `(T, H, M)`}.

  Raises:
    ConfigError: the model shows no weightings.
  """
  inputs = jnp.asarray(inputs_TF)[None]
  reset_BT = jnp.zeros((1, inputs.shape[1]), bool)

  @jax.jit
  def read(params: Params) -> tuple[jax.Array, Shown]:
    carry = model.initial_carry(1)
    _, y, shown = look(model, params, carry, inputs, reset_BT)
    return y, shown

  y, shown = read(params)
  found = {
    path: np.asarray(array[0])
    for path, array in shown.items()
    if path.rpartition('/')[2] in OF_SLOTS
  }
  rule = 'shows no weightings of slots'
  require(bool(found), 'model', type(model).__name__, rule)
  return np.asarray(y[0]), found


def draw(
  inputs_TF: np.ndarray, answers_TF: np.ndarray, shown: Weightings, path: Path
) -> None:
  """Draws inputs, answers and weightings below each other, time to the right.

  Args:
    inputs_TF: in [0, 1], as the others are.
    answers_TF: as probabilities.
    shown: {name: `(T, H, M)`}; only slots that some head looks at are drawn.
    path: where to write the PNG.
  """
  from matplotlib.figure import Figure

  looked_M = np.max([w.max((0, 1)) for w in shown.values()], axis=0) > SEEN
  slots = np.flatnonzero(looked_M)
  first, last = (slots[0], slots[-1] + 1) if slots.size else (0, 1)
  panels = {'input': inputs_TF, 'answer': answers_TF}
  for name, weights_THM in shown.items():
    *_, kind = name.split('/')
    for head in range(weights_THM.shape[1]):
      label = f'{kind.removesuffix("_weights")} head {head}, slot'
      panels[label] = weights_THM[:, head, first:last]
  heights = [max(p.shape[1], 8) for p in panels.values()]
  inches = 0.5 + sum(heights) * 0.07 + 0.35 * len(heights)
  figure = Figure(figsize=(8, min(inches, 12)), layout='constrained')
  all_axes = figure.subplots(len(panels), sharex=True, height_ratios=heights)
  for axes, (label, picture) in zip(all_axes, panels.items(), strict=True):
    rows = picture.shape[1]
    low = first if label.endswith('slot') else 0
    image = axes.imshow(
      picture.T,
      cmap='cividis',
      vmin=0,
      vmax=1,
      aspect='auto',
      interpolation='nearest',
      origin='lower',
      extent=(-0.5, len(picture) - 0.5, low - 0.5, low + rows - 0.5),
    )
    axes.set_ylabel(label)
    axes.spines[:].set_visible(False)
  all_axes[-1].set_xlabel('step')
  figure.colorbar(image, ax=all_axes, shrink=0.4, label='value or weight')
  figure.savefig(path, dpi=150)
