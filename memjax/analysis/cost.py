"""Speed and memory of a model by the length of a segment."""

from collections.abc import Mapping
import dataclasses
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.across_runs import MISSING, line_plots, panels, run_table
from memjax.analysis.base import Finding, Instrument, Places, Result, tidy
from memjax.analysis.programs import forward, initial_carry
from memjax.analysis.section import Section
from memjax.analysis.state_size import State, state_size
from memjax.errors import require
from memjax.logs.console import format_magnitude
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Carry, Params

QUARTILES = (0.25, 0.5, 0.75)
PROGRAMS = ('forward', 'gradient')


class Costs(NamedTuple):
  """What a segment of each length costs, for each of `PROGRAMS`.

  Attributes:
    lengths: `(E,)`, T.
    tokens_per_second: {program: `(E, 3)`}, first quartile, median and third
      quartile over repeats.
    memory: {program: `(E,)`} bytes; NaN if the device does not report them.
    state: of one row.
  """

  lengths: np.ndarray
  tokens_per_second: dict[str, np.ndarray]
  memory: dict[str, np.ndarray]
  state: State


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost(Instrument[Costs]):
  """Speed and memory by the length of a segment.

  Attributes:
    batch_size: rows read at once.
    repeats: of each timing.
    parts: the shortest segment is the task's length over this.
    seed: of the inputs.
  """

  title = 'Cost'
  order = 100
  definition = """
    Speed: tokens per second of one segment that is read from an empty memory
    (forward), and of the gradient of the mean squared output (gradient). A
    token is one step of one row. Compilation is not included. The band reaches
    from the first to the third quartile over repeats.

    Memory: what the compiled program needs beside its arguments and results, as
    the compiler reports it.

    Both are measured on this machine, on random inputs, by the length of the
    segment, and with the first replica, because all replicas cost the same.

    Units: tokens per second; bytes.
    """

  batch_size: int = 32
  repeats: int = 3
  parts: int = 4
  seed: int = 0

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[Costs]:
    lengths = np.unique([max(task.length // self.parts, 1), task.length])
    found = measure_cost(
      model, params_N, task, lengths, self.batch_size, self.repeats, self.seed
    )
    speed = np.stack([found.tokens_per_second[p] for p in PROGRAMS])
    axes: dict[str, Places] = {'program': PROGRAMS, 'length': lengths}
    figures = {
      'tokens_per_second_first_quartile': speed[..., 0],
      'tokens_per_second': speed[..., 1],
      'tokens_per_second_third_quartile': speed[..., 2],
      'memory': np.stack([found.memory[p] for p in PROGRAMS]),
      'state_of_a_row': np.asarray(sum(found.state)),
    }
    units = {'program': '', 'length': 'steps'}
    units |= dict.fromkeys(figures, '1/s')
    units |= {'memory': 'bytes', 'state_of_a_row': 'bytes'}
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[Costs]]) -> Section:
    plots = line_plots(panels(results, _curves), 'length of a segment, steps')
    cells = {run: _cells(result.arrays) for run, result in results.items()}
    caption = f'Memory that the program needs for {self.batch_size} rows'
    return Section(
      self.title, self.definition, plots, tables=[run_table(cells, caption)]
    )

  def findings(
    self, results: Mapping[str, Result[Costs]]
  ) -> dict[str, Finding]:
    column = 'tokens per second'
    return {
      run: Finding({column: format_magnitude(speed[-1, 1])})
      for run, r in results.items()
      for speed in (r.arrays.tokens_per_second['forward'],)
    }


def _curves(found: Costs) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  return {
    f'{program}, tokens per second': (found.lengths, speed.T)
    for program, speed in found.tokens_per_second.items()
  }


def _cells(found: Costs) -> dict[str, str]:
  return {
    f'{program}, {length} steps': f'{needed / 1e6:,.2f} MB'
    if np.isfinite(needed)
    else MISSING
    for program, memory in found.memory.items()
    for length, needed in zip(found.lengths, memory, strict=True)
  }


def measure_cost(
  model: Memory,
  params_N: Params,
  task: Task,
  lengths: np.ndarray,
  batch_size: int = 64,
  repeats: int = 9,
  seed: int = 0,
) -> Costs:
  """Compiles and times the programs for segments of several lengths.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: what the model reads; the inputs are random.
    lengths: `(E,)`, T, each at least 1.
    batch_size: rows read at once.
    repeats: of each timing, at least 1.
    seed: of the inputs.

  Raises:
    ConfigError: there is no length, or a length or `repeats` is below 1.
  """
  lengths = np.asarray(lengths)
  fits = lengths.size > 0 and bool((lengths >= 1).all())
  require(fits, 'lengths', lengths.tolist(), 'must all be at least 1')
  require(repeats >= 1, 'repeats', repeats, 'must be at least 1')
  first_1 = jax.tree.map(lambda leaf: np.asarray(leaf)[:1], params_N)
  carry_1 = initial_carry(model, 1, batch_size)
  speed: dict[str, list[np.ndarray]] = {program: [] for program in PROGRAMS}
  memory: dict[str, list[float]] = {program: [] for program in PROGRAMS}
  rng = np.random.default_rng(seed)
  for length in lengths.tolist():
    inputs = task.input_spec.sample(rng, batch_size, length)
    reset_BT = np.zeros((batch_size, length), bool)
    arguments = first_1, carry_1, inputs, reset_BT
    for name, function in zip(PROGRAMS, (forward, _gradient), strict=True):
      program = function.lower(model, *arguments).compile()
      seconds, needed = _time(program, arguments, repeats)
      speed[name].append(np.quantile(batch_size * length / seconds, QUARTILES))
      memory[name].append(needed)
  return Costs(
    lengths,
    {name: np.stack(quartiles) for name, quartiles in speed.items()},
    {name: np.asarray(needed) for name, needed in memory.items()},
    state_size(model),
  )


@functools.partial(jax.jit, static_argnums=0)
def _gradient(
  model: Memory, params_N: Params, carry_N: Carry, inputs: Any, reset_BT: Any
) -> tuple[Params, Carry]:
  """The gradient of the mean squared output, and the carry after it."""

  def loss(params_N: Params) -> tuple[jax.Array, Carry]:
    after_N, y_N = forward(model, params_N, carry_N, inputs, reset_BT)
    return jnp.square(y_N).mean(), after_N

  return jax.grad(loss, has_aux=True)(params_N)


def _time(
  program: Any, arguments: tuple[Any, ...], repeats: int
) -> tuple[np.ndarray, float]:
  """Seconds of each repeat, and bytes of the program; one run warms up."""
  arguments = jax.device_put(arguments)
  jax.block_until_ready(program(*arguments))
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    seconds.append(time.perf_counter() - start)
  report = program.memory_analysis()
  return np.asarray(seconds), report.temp_size_in_bytes if report else np.nan
