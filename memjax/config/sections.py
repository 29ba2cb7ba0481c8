"""The sections of a config, checked one by one.

Every field is required here: defaults live in `configs/base.py`, where the
command line can override them. That numbers are finite and not negative is
checked for all of them in `memjax/config/reader.py`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from memjax.errors import require


def one_of(field: str, value: str, known: tuple[str, ...]) -> None:
  """Requires the value to be among the known ones."""
  require(value in known, field, value, f'must be one of {", ".join(known)}')


def at_least_one(settings: object, *fields: str) -> None:
  """Requires each named field to be at least 1."""
  for field in fields:
    value = getattr(settings, field)
    require(value >= 1, field, value, 'must be at least 1')


def flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """The leaves of nested mappings by dotted path."""
  leaves: dict[str, Any] = {}
  for key, value in config.items():
    if isinstance(value, Mapping):
      leaves |= flatten(value, f'{prefix}{key}.')
    else:
      leaves[f'{prefix}{key}'] = value
  return leaves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
  """How long, on how much, through how many segments.

  Attributes:
    steps: optimiser steps in all.
    batch_size: rows of a step.
    steps_per_call: steps per dispatch to the device.
    segment_length: steps of time per call of the model; 0: the task's length.
    bptt_segments: the gradient crosses the borders inside groups of so many
      segments, and no other border.
    grad_accum_steps: the rows of a step are read in so many parts, to save
      memory; the gradient is the same.
    dtype: compute type; parameters and carry stay float32.
    patience: stop after so many evaluations without a new best, of replicas
      without one of their median; 0: never.
    replicas: runs with successive seeds, in one program; 1: this seed's alone.
    init_from: the workdir of a run whose parameters this one begins with;
      empty: fresh parameters.
  """

  steps: int
  batch_size: int
  steps_per_call: int
  segment_length: int
  bptt_segments: int
  grad_accum_steps: int
  dtype: str
  patience: int
  replicas: int
  init_from: str

  def __post_init__(self) -> None:
    at_least_one(
      self,
      'steps',
      'batch_size',
      'steps_per_call',
      'bptt_segments',
      'grad_accum_steps',
      'replicas',
    )
    one_of('dtype', self.dtype, ('float32', 'bfloat16'))
    require(
      self.batch_size % self.grad_accum_steps == 0,
      'grad_accum_steps',
      self.grad_accum_steps,
      f'must divide batch_size {self.batch_size}',
    )
    require(
      self.steps % self.steps_per_call == 0,
      'steps_per_call',
      self.steps_per_call,
      f'must divide steps {self.steps}',
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optim:
  """Any optax optimiser, its schedule, clipping, decay and averaging.

  Attributes:
    name: an optax optimiser, `adamw`.
    options: its further arguments, {'b2': 0.95}.
    learning_rate: the peak.
    schedule: constant, linear, cosine, inverse_sqrt or halving, after the
      warm-up.
    halve_every: steps after which halving halves the rate, again and again.
    warmup_steps: steps of linear warm-up from 0.
    final: what linear and cosine end at, as a fraction of the peak.
    weight_decay: decoupled, on arrays of two or more axes.
    clip: largest global norm of the gradient; 0: no clipping.
    ema: decay of the parameters' moving average, which is then what
      evaluations and samples use; 0: none.
    vary: floats that differ between replicas, one value each, as in
      'learning_rate=1e-4,1e-3 options.b2=0.9,0.99'; empty: none does.
  """

  name: str
  options: dict[str, Any]
  learning_rate: float
  schedule: str
  halve_every: int
  warmup_steps: int
  final_lr_ratio: float
  weight_decay: float
  clip_norm: float
  ema: float
  per_replica: str

  def __post_init__(self) -> None:
    one_of(
      'schedule',
      self.schedule,
      ('constant', 'linear', 'cosine', 'inverse_sqrt', 'halving'),
    )
    require(
      (self.schedule == 'halving') == (self.halve_every > 0),
      'halve_every',
      self.halve_every,
      'must be at least 1 with the schedule halving, 0 with any other',
    )
    require(self.ema < 1, 'ema', self.ema, 'must be below 1')
    require(
      self.final_lr_ratio <= 1,
      'final_lr_ratio',
      self.final_lr_ratio,
      'must be at most 1',
    )
    require(
      self.learning_rate > 0,
      'learning_rate',
      self.learning_rate,
      'must be above 0',
    )
    require(
      self.schedule != 'inverse_sqrt' or self.warmup_steps >= 1,
      'warmup_steps',
      self.warmup_steps,
      'must be at least 1 with inverse_sqrt',
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
  """When the state is saved and which ones are kept.

  Attributes:
    every: steps between saves; the last step and a new best are saved too.
    keep: so many of the newest are kept, beside the best.
    best: an evaluation's metric, `valid/loss`; empty: no best.
    best_is: min or max.
  """

  every: int
  keep: int
  best: str
  best_is: str

  def __post_init__(self) -> None:
    at_least_one(self, 'every', 'keep')
    one_of('best_is', self.best_is, ('min', 'max'))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallel:
  """The mesh and, where they are not detected, the hosts.

  Attributes:
    data: devices along which only the batch is cut; 0: all there are.
    fsdp: devices along which parameters are cut as well.
    coordinator: address:port of host 0; empty: detected, or one host.
    processes: hosts in all, with a coordinator.
    process: this host, with a coordinator.
  """

  data: int
  fsdp: int
  coordinator: str
  processes: int
  process: int

  def __post_init__(self) -> None:
    at_least_one(self, 'fsdp')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
  """What is written beside `metrics.jsonl`, and how often.

  Attributes:
    every: steps between rows of training metrics.
    wandb: mode (auto, online, offline, disabled), project, name.
    tensorboard: whether to write TensorBoard's files.
    prompt: text that the sample after training goes on from.
    sample: tokens of that sample, where the task is text; 0: none.
  """

  every: int
  wandb: dict[str, str]
  tensorboard: bool
  prompt: str
  sample: int

  def __post_init__(self) -> None:
    at_least_one(self, 'every')
    require(
      set(self.wandb) == {'mode', 'project', 'name'},
      'wandb',
      self.wandb,
      'must hold mode, project and name',
    )
    one_of(
      'wandb.mode',
      self.wandb['mode'],
      ('auto', 'online', 'offline', 'disabled'),
    )
