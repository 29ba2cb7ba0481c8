"""A sweep in Optuna's terms: what draws parameters, what gives trials up.

grid is GridSampler, random RandomSampler, bayes TPESampler. What a trial is
given depends on its number, which is the seed, and under bayes on the trials
before it: neither a new start nor a second machine draws the same again.
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


def sampler(sweep: Sweep, number: int) -> BaseSampler:
  """What draws the parameters of a trial."""
  if sweep.method == 'grid':
    values = {
      name: parameter.values
      for name, parameter in sweep.parameters.items()
      if isinstance(parameter, Values)
    }
    return GridSampler(values, seed=0)  # of the order
  if sweep.method == 'random':
    return RandomSampler(seed=number)
  return TPESampler(seed=number)


def suggest(trial: Trial, name: str, parameter: Values | Range) -> Scalar:
  """A trial's value of a parameter; drawn, where it has none yet."""
  if isinstance(parameter, Values):
    chosen = trial.suggest_categorical(name, parameter.values)
    assert chosen is not None, 'no file lists None'
    return chosen
  low, high, log, step = parameter
  if isinstance(low, int) and isinstance(high, int):
    return trial.suggest_int(name, low, high, step=int(step) or 1)
  return trial.suggest_float(name, low, high, log=log, step=step or None)


def pruner(sweep: Sweep) -> BasePruner:
  """What gives trials up; its resource is an evaluation of the metric."""
  if sweep.hyperband is None:
    return NopPruner()
  least, most, eta = sweep.hyperband
  return HyperbandPruner(
    min_resource=least, max_resource=most or 'auto', reduction_factor=eta
  )
