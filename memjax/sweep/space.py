"""A sweep in Optuna's terms: its sampler and its pruner.

grid is GridSampler, random RandomSampler and bayes TPESampler. The parameters
of a trial depend on its number, which is the seed, and under bayes on the
earlier trials. So neither a restart nor a second machine repeats a trial.
"""

from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import (
  BaseSampler,
  GridSampler,
  RandomSampler,
  TPESampler,
)
from optuna.trial import Trial

from memjax.sweep.file import Sweep
from memjax.sweep.parameters import Range, Scalar, Values


def make_sampler(sweep: Sweep, number: int) -> BaseSampler:
  """The sampler of the parameters of a trial."""
  if sweep.method == 'grid':
    values = {
      name: parameter.values
      for name, parameter in sweep.parameters.items()
      if isinstance(parameter, Values)
    }
    return GridSampler(values, seed=0)  # the order of the grid
  if sweep.method == 'random':
    return RandomSampler(seed=number)
  return TPESampler(seed=number)


def suggest(trial: Trial, name: str, parameter: Values | Range) -> Scalar:
  """A trial's value of a parameter; sampled if it has none yet."""
  if isinstance(parameter, Values):
    value = trial.suggest_categorical(name, parameter.values)
    assert value is not None, 'a sweep file lists no None'
    return value
  low, high, log, step = parameter
  if isinstance(low, int) and isinstance(high, int):
    return trial.suggest_int(name, low, high, step=int(step) or 1)
  return trial.suggest_float(name, low, high, log=log, step=step or None)


def make_pruner(sweep: Sweep) -> BasePruner:
  """The pruner; its resource is the number of evaluations of the metric."""
  if sweep.hyperband is None:
    return NopPruner()
  least, most, eta = sweep.hyperband
  return HyperbandPruner(
    min_resource=least, max_resource=most or 'auto', reduction_factor=eta
  )
