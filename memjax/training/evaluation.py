"""Evaluation sets during a run: figures of the parameters, a row for each."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import functools
import time

import jax
from jax.sharding import Mesh

from memjax.config.experiment import Experiment
from memjax.errors import nearest, require
from memjax.evaluation.base import DocumentMetrics, Figures, KnownMeasure
from memjax.evaluation.protocol import protocol_of
from memjax.guards import interrupts, phase
from memjax.models.base import Memory
from memjax.runs.best import Figure, figures_of
from memjax.training import replicas
from memjax.training.metrics import Meter, Row
from memjax.training.state import TrainState, initial_params
from memjax.types import Params


class Evaluator:
  """One evaluation set, prepared once, measured on any parameters."""

  def __init__(self, name: str, experiment: Experiment, mesh: Mesh):
    """Prepares the set.

    Raises:
      ConfigError: the evaluation is not defined for its task or model, or the
        model has other parameters than the trained one.
    """
    evaluation = experiment.evals[name]
    check_parameters(experiment, name)
    self.name, self.every = name, evaluation.every
    self._experiment = experiment
    self._measure = evaluation.prepare(experiment, mesh)
    self._protocol = protocol_of(
      evaluation.task,
      evaluation.model,
      streams=evaluation.batch_size,
      steps=evaluation.number_of_steps,
      parameters='ema' if experiment.optim.ema else 'last',
      dtype=experiment.train.dtype,
      fields=evaluation.fields,
    ).to_json()

  def due(self, step: int) -> bool:
    """Whether the set is measured after this step."""
    last = self._experiment.train.steps
    return step > 0 and (step % self.every == 0 or step == last)

  def metrics(self) -> set[str]:
    """The names of the metrics; empty if only measuring tells them."""
    if isinstance(self._measure, KnownMeasure):
      return self._measure.metrics()
    return set()

  def measure(self, params: Params) -> Figures:
    """{metric: figure}, `()` or `(N,)`, over the whole set."""
    return self._measure(params).figures

  def row(
    self, step: int, params: Params, diverged: Mapping[str, int] | None = None
  ) -> Row:
    """The row for `metrics.jsonl`, with the protocol beside the figures.

    A set that measures each document has the list of their rows as well.

    Args:
      step: the step of the parameters.
      params: `(N, ...)`.
      diverged: {seed: step} of replicas that have stopped: they have no figure.
    """
    start = time.perf_counter()
    measured = self._measure(params)
    check_watched(self._experiment, self.name, measured.figures)
    gone = [int(seed) - self._experiment.seed for seed in diverged or ()]
    row: Row = {
      'step': step,
      'split': self.name,
      **replicas.summary(replicas.without(measured.figures, gone)),
      **({'diverged': {**diverged}} if diverged else {}),
      'protocol': self._protocol,
      'seconds': round(time.perf_counter() - start, 3),
    }
    if measured.documents:
      row['documents'] = [document_row(x, gone) for x in measured.documents]
    return row


def document_row(document: DocumentMetrics, gone: Sequence[int]) -> Row:
  """A document's figures, with the sums (N,) and counts they come from.

  Args:
    document: measured by all replicas.
    gone: numbers of the replicas that have diverged.
  """
  metrics = document.metrics.items()
  values = {name: metric.value() for name, metric in metrics}
  return {
    'document': document.number,
    'name': document.name,
    **replicas.summary(replicas.without(values, gone)),
    'sums': {name: metric.sum.tolist() for name, metric in metrics},
    'counts': {name: metric.count[0].item() for name, metric in metrics},
  }


def prepare_sets(experiment: Experiment, mesh: Mesh) -> list[Evaluator]:
  """Every evaluation set of the config, prepared.

  Raises:
    ConfigError: a set cannot be evaluated, or `checkpoint.best` or
      `train.stop_when` names a metric that its set does not measure.
  """
  evaluators = {
    name: Evaluator(name, experiment, mesh) for name in experiment.evals
  }
  for metric in experiment.watched.values():
    name = metric.partition('/')[0]
    known = evaluators[name].metrics()
    if known:
      check_watched(experiment, name, known)
  return list(evaluators.values())


def evaluate(
  evaluators: Sequence[Evaluator],
  step: int,
  state: TrainState,
  write: Callable[[Row], None],
  meter: Meter,
) -> dict[str, Figure]:
  """Measures the sets that are due, a row each; {'set/metric': figure}.

  If a signal comes while there are steps to save, the sets that are not yet
  measured get no row; the next start measures them.

  Raises:
    Stopped: a signal came, and there is nothing to save.
  """
  figures: dict[str, Figure] = {}
  now = [evaluator for evaluator in evaluators if evaluator.due(step)]
  if not now:
    return figures
  with meter.paused('evaluation'), interrupts.left_early():
    for evaluator in now:
      phase.enter('evaluation')
      row = evaluator.row(step, state.evaluated, meter.diverged)
      write(row)
      figures |= figures_of(row)
  return figures


def unmeasured(
  evaluators: Sequence[Evaluator], step: int, rows: Iterable[Row]
) -> list[Evaluator]:
  """The sets that are due and have no row: a signal ended their evaluation."""
  measured = {row['split'] for row in rows if row['step'] == step}
  return [e for e in evaluators if e.due(step) and e.name not in measured]


def check_parameters(experiment: Experiment, name: str) -> None:
  """Requires the model of a set to have the trained model's parameters.

  Raises:
    ConfigError: an array of parameters has another shape.
  """
  evaluated = experiment.evals[name].model

  def shapes(model: Memory) -> dict[str, tuple[int, ...]]:
    params = jax.eval_shape(
      lambda: initial_params(model, experiment.task, jax.random.key(0))
    )
    leaves = jax.tree_util.tree_leaves_with_path(params)
    name = functools.partial(jax.tree_util.keystr, simple=True, separator='.')
    return {name(path): leaf.shape for path, leaf in leaves}

  if evaluated == experiment.model:
    return
  trained, here = shapes(experiment.model), shapes(evaluated)
  for path in trained | here:
    shape, before = here.get(path, 'none'), trained.get(path, 'none')
    rule = f'has the shape {shape} in this model, {before} in the trained one'
    require(shape == before, f'evals.{name}.model', path, rule)


def check_watched(
  experiment: Experiment, name: str, metrics: Collection[str]
) -> None:
  """Requires the metrics that decide about the run to be among a set's.

  Raises:
    ConfigError: the config names a metric of this set that is not measured.
  """
  for field, watched in experiment.watched.items():
    known = [f'{name}/{metric}' for metric in metrics]
    of_this_set = watched.startswith(f'{name}/')
    rule = f'is not measured; {nearest(watched, known)}'
    require(not of_this_set or watched in known, field, watched, rule)
