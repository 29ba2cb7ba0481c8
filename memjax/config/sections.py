"""The sections of a config, checked one by one.

Every field is required here: defaults live in `configs/base.py`. `reader.py`
checks that numbers are finite and not negative.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from memjax.config.adapt import Adapt
from memjax.config.parallel import Parallel
from memjax.config.stop_when import parse_condition
from memjax.errors import require, require_at_least_one
from memjax.guards.phase import PHASES


def one_of(field: str, value: str, known: tuple[str, ...]) -> None:
  """Requires the value to be among the known ones."""
  require(value in known, field, value, f'must be one of {", ".join(known)}')


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
    steps: number of optimiser steps.
    batch_size: rows of a step.
    steps_per_call: at most this number of steps per dispatch to the device. The
      largest number that divides `steps` and all intervals is used.
    segment_length: time steps per call of the model; 0: the task's length.
    bptt_segments: number of segments in a group. The gradient crosses the
      boundaries inside a group, and no other boundary.
    grad_accum_steps: number of parts that the rows of a step are read in, to
      save memory; the gradient is the same.
    remat: what the backward pass of a layer computes again, to save memory.
      none: nothing; full: the whole layer; dots: all but its products with
      parameters. The gradient is the same.
    dtype: compute type; parameters and carry stay float32.
    patience: number of evaluations without a new best after which the run
      stops; 0: it never stops early. With several replicas, medians are
      compared.
    stop_when: a condition on a metric of an evaluation set, as in
      `held_out/accuracy >= 0.99`, with >=, <=, > or <. The run stops after the
      first evaluation that meets it; empty: it never does. With several
      replicas, the median over those that have not diverged counts; where
      `at one setting` follows the number, all replicas must meet it that have
      one setting of `optim.per_replica`.
    replicas: number of runs with successive seeds, trained in one program.
    init_from: the workdir of a run; its parameters are the initial ones. Empty:
      random parameters.
    nonfinite: what a step does whose loss, gradient or carry is not finite. It
      is never taken. raise: its replica stops, and the run ends once every
      replica has; skip: it goes on with the next batch; rollback: it goes on
      with the next batch from the newest checkpoint.
    limits: seconds that each phase of the run may take without progress:
      import, data, compile, restore, step, evaluation, save, close; 0: no
      limit. Beyond it, the stacks of all threads are written to the workdir and
      the run ends.
  """

  steps: int
  batch_size: int
  steps_per_call: int
  segment_length: int
  bptt_segments: int
  grad_accum_steps: int
  remat: str
  dtype: str
  patience: int
  stop_when: str
  replicas: int
  init_from: str
  nonfinite: str
  limits: dict[str, float]

  def __post_init__(self) -> None:
    require_at_least_one(
      self,
      'steps',
      'batch_size',
      'steps_per_call',
      'bptt_segments',
      'grad_accum_steps',
      'replicas',
    )
    below = 2**31  # the state counts steps in 32 bits
    require(self.steps < below, 'steps', self.steps, 'must be below 2^31')
    one_of('remat', self.remat, ('none', 'full', 'dots'))
    one_of('nonfinite', self.nonfinite, ('raise', 'skip', 'rollback'))
    rule = f'must have the fields {", ".join(PHASES)}'
    require({*self.limits} == {*PHASES}, 'limits', self.limits, rule)
    one_of('dtype', self.dtype, ('float32', 'bfloat16'))
    parse_condition('stop_when', self.stop_when)
    require(
      self.batch_size % self.grad_accum_steps == 0,
      'grad_accum_steps',
      self.grad_accum_steps,
      f'must divide batch_size {self.batch_size}',
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optim:
  """The optimiser, its schedule, clipping, decay, groups and averaging.

  Attributes:
    name: a path in optax, `adamw` or `contrib.muon`, or the full path of a
      user's own function, `my_optim.lion2`.
    options: its further arguments, {'b2': 0.95}.
    learning_rate: the peak.
    schedule: the rate after the warm-up: constant, linear, cosine, inverse_sqrt
      or halving, a path in optax, or the full path of a user's own function.
    schedule_options: the schedule's further arguments, {'halve_every': 1000}.
    warmup_steps: steps of linear warm-up from 0.
    final_lr_ratio: the last rate over the peak, for linear and cosine.
    weight_decay: decoupled, on arrays of two or more axes.
    clip_norm: largest global norm of the gradient; 0: no clipping.
    row_clip_norm: C of DP-SGD, the largest norm of one row's gradient; 0: rows
      are not clipped, and training is not private. See docs/privacy.md.
    row_noise: sigma of DP-SGD: the noise added to the sum of the rows'
      gradients has the standard deviation sigma C.
    groups: parameters that are trained in another way, {'name': {'match':
      regular expression over paths such as 'layer_0/memory/qkv/kernel',
      'learning_rate_factor': 0.1, 'weight_decay': 0.0, 'frozen': True}}; all
      but `match` may be left out.
    ema: decay of the parameters' moving average, which evaluations and samples
      then use; 0: none.
    per_replica: floats that differ between replicas, one value each, as in
      'learning_rate=1e-4,1e-3 options.b2=0.9,0.99'; empty: none does.
  """

  name: str
  options: dict[str, Any]
  learning_rate: float
  schedule: str
  schedule_options: dict[str, Any]
  warmup_steps: int
  final_lr_ratio: float
  weight_decay: float
  clip_norm: float
  row_clip_norm: float
  row_noise: float
  groups: dict[str, dict[str, Any]]
  ema: float
  per_replica: str

  def __post_init__(self) -> None:
    require(self.ema < 1, 'ema', self.ema, 'must be below 1')
    rule = 'needs optim.row_clip_norm above 0'
    clipped = self.row_clip_norm > 0 or not self.row_noise
    require(clipped, 'row_noise', self.row_noise, rule)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
  """When checkpoints are saved, and which ones are kept.

  Attributes:
    every: steps between saves; the last step and a new best are saved too.
    keep: number of latest checkpoints to keep. The best one is kept as well.
    best: a set and a metric, `validation/loss`; empty: no best.
    best_is: min or max.
  """

  every: int
  keep: int
  best: str
  best_is: str

  def __post_init__(self) -> None:
    require_at_least_one(self, 'every', 'keep')
    one_of('best_is', self.best_is, ('min', 'max'))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
  """What is logged beside `metrics.jsonl`, and how often.

  Attributes:
    every: steps between rows of training metrics.
    wandb: mode (auto, online, offline, disabled), project, name, group, and
      tags, which commas separate.
    tensorboard: whether to write TensorBoard's files.
    prompt: the prompt of the text that is sampled after training; empty: none.
    sample: number of tokens of that text; 0: none. For text tasks only.
  """

  every: int
  wandb: dict[str, str]
  tensorboard: bool
  prompt: str
  sample: int

  def __post_init__(self) -> None:
    require_at_least_one(self, 'every')
    require(
      set(self.wandb) == {'mode', 'project', 'name', 'group', 'tags'},
      'wandb',
      self.wandb,
      'must have the fields mode, project, name, group and tags',
    )
    one_of(
      'wandb.mode',
      self.wandb['mode'],
      ('auto', 'online', 'offline', 'disabled'),
    )


SECTIONS = {
  'train': Train,
  'optim': Optim,
  'adapt': Adapt,
  'checkpoint': Checkpoint,
  'parallel': Parallel,
  'log': Log,
}
