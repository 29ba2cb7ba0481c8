"""Masked language modelling: some tokens of a text are hidden and guessed.

Papers: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, section 3.1;
Salazar et al. 2019, https://arxiv.org/abs/1910.14659, for pseudo-perplexity.
Specification: rows are those of a text. Each token that the text's rows count
is chosen with probability `share`. In its place the model reads, with
probability `masked`, the mask; with probability `random`,
a token of the vocabulary, uniform; else the token itself. The choice is a
function of seed, stream, step and row.
With `passes` = n > 0, no chance is involved: pass i over the text, of n, masks
the tokens at the places i, i + n, i + 2 n, ... of a row. So n = T masks each
token by itself, with all others of its row in sight, as Salazar et al. do.
Labels: the token, where it was chosen.
Metrics: `loss`, nats per label; `accuracy`; `pseudo_perplexity`, the
exponential of the loss; with passes = T it is the paper's.
Deviations: Devlin et al. mask exactly 15 % of a row's tokens, and never the
marks of its ends.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import Stream, Task, classification
from memjax.tasks.composed.wrapper import Wrapper
from memjax.tasks.language.text import Text
from memjax.tasks.stages import row_key
from memjax.types import Batch, HostBatch, Metric, Metrics, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masked(Wrapper):
  """The hidden tokens of a text.

  Attributes:
    task: the text, with carry_over=False.
    share: of the tokens, the share that is chosen.
    masked: of the chosen, the share that the mask replaces.
    random: of the chosen, the share that any token replaces.
    mask_id: the mask, where the vocabulary of the text has one; 0: it is a
      further id.
    passes: n, passes over the text that together mask each token once; 0: the
      choice is random.
  """

  task: Task = dataclasses.field(default_factory=lambda: Text(carry_over=False))
  share: float = 0.15
  masked: float = 0.8
  random: float = 0.1
  mask_id: int = 0
  passes: int = 0
  measures_positions = True

  def __post_init__(self) -> None:
    name, rule = type(self.task).__name__, 'is no text'
    require(isinstance(self.task, Text), 'task.name', name, rule)
    rule = 'must be False: a row is read whole'
    flows = self.task.carry_over
    require(not flows, 'task.carry_over', flows, rule)
    require(0 < self.share < 1, 'share', self.share, 'must be in (0, 1)')
    for field in ('masked', 'random'):
      value = getattr(self, field)
      require(0 <= value <= 1, field, value, 'must be in [0, 1]')
    rule = f'must be at most 1 - masked, {1 - self.masked:.3g}'
    fits = self.random <= 1 - self.masked + 1e-9
    require(fits, 'random', self.random, rule)
    rule = f'must be from 0 to the length, {self.task.length}'
    fits = 0 <= self.passes <= self.task.length
    require(fits, 'passes', self.passes, rule)

  def prepare(self) -> None:
    super().prepare()
    rule = f'must be below the number of tokens, {self.output_spec.size}'
    require(self.mask_id < self.output_spec.size, 'mask_id', self.mask_id, rule)

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.task.input_spec.size + (self.mask_id == 0))

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.task.input_spec.size)

  @property
  def labels_are_inputs(self) -> bool:
    return False

  def epoch_steps(self, batch_size: int) -> int:
    return super().epoch_steps(batch_size) * max(self.passes, 1)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    ids_R4 = np.empty((len(row_ids), 4), np.uint32)
    ids_R4[:, :3] = stream.seed, stream.number, step
    ids_R4[:, 3] = row_ids
    turn = np.zeros(len(row_ids), np.int32)
    if self.passes:
      turn[:] = step // self.task.epoch_steps(stream.batch_size) % self.passes
    return super().rows(stream, step, row_ids), ids_R4, turn

  def batch(self, host_batch: HostBatch) -> Batch:
    of_text, ids_R4, turn_R = host_batch
    batch = self.task.batch(of_text)
    token_BT = jnp.asarray(batch.inputs)
    seen_BT, chosen_BT = jax.vmap(self._hide)(
      jnp.asarray(ids_R4), jnp.asarray(turn_R), token_BT
    )
    return Batch(
      seen_BT,
      token_BT,
      jnp.where(chosen_BT, batch.loss_weights_BT, 0.0),
      batch.reset_BT,
    )

  def _hide(
    self, ids: jax.Array, turn: jax.Array, token_T: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """What a row reads, and which of its tokens are chosen."""
    vocab = self.task.input_spec.size
    mask = self.mask_id or vocab
    if self.passes:
      chosen_T = jnp.arange(len(token_T)) % self.passes == turn
      return jnp.where(chosen_T, mask, token_T), chosen_T
    of_choice, of_way, of_token = jax.random.split(row_key(ids), 3)
    shape = token_T.shape
    chosen_T = jax.random.bernoulli(of_choice, self.share, shape)
    way_T = jax.random.uniform(of_way, shape)
    any_T = jax.random.randint(of_token, shape, 0, vocab)
    instead_T = jnp.where(way_T < self.masked + self.random, any_T, token_T)
    instead_T = jnp.where(way_T < self.masked, mask, instead_T)
    return jnp.where(chosen_T, instead_T, token_T), chosen_T

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    metrics = classification(y, batch)
    loss = metrics['loss']
    perplexity = Metric(loss.sum, loss.count, finish='exp')
    return metrics | {'pseudo_perplexity': perplexity}
