"""What the fields of a stack must be."""

from typing import Any

from memjax.errors import require
from memjax.models.block import ACTIVATIONS, NORMS, REMAT, WIRINGS
from memjax.models.clusters import TIED, Clusters
from memjax.models.positions import KINDS, TIMINGS
from memjax.models.sentences import ENCODERS

MOST_LAYERS = 1000


def check_values(stack: Any) -> None:
  """Requires values that each field of a `Stack` can have.

  Raises:
    ConfigError: a field breaks a rule.
  """
  for field in ('width', 'depth'):
    value = getattr(stack, field)
    require(value >= 1, field, value, 'must be at least 1')
  rule = f'must be at most {MOST_LAYERS}: each layer is traced by itself'
  require(stack.depth <= MOST_LAYERS, 'depth', stack.depth, rule)
  for field, known in (
    ('wiring', WIRINGS),
    ('activation', ACTIVATIONS),
    ('norm', NORMS),
    ('positions', KINDS),
    ('timing', TIMINGS),
    ('sentences', ENCODERS),
    ('remat', REMAT),
  ):
    value = getattr(stack, field)
    rule = f'must be one of {", ".join(known)}'
    require(value in known, field, value, rule)
  for field in ('mlp', 'softcap', 'max_positions', 'token_types', 'adapter'):
    value = getattr(stack, field)
    require(value >= 0, field, value, 'must be at least 0')
  require(stack.epsilon > 0, 'epsilon', stack.epsilon, 'must be above 0')
  for field in ('dropout', 'readout_dropout'):
    value = getattr(stack, field)
    require(0 <= value < 1, field, value, 'must be in [0, 1)')
  sentences = stack.input_spec.discrete and stack.input_spec.shape
  if sentences and stack.sentences == 'attention':
    rule = "must be even for sentences 'attention'"
    require(stack.width % 2 == 0, 'width', stack.width, rule)


def check_vocabulary(stack: Any, clusters: Clusters | None) -> None:
  """Requires one vocabulary where encoder and readout share a table.

  Args:
    stack: a `Stack`.
    clusters: of its ids; None if it is not adaptive.

  Raises:
    ConfigError: a field breaks a rule.
  """
  inputs, outputs = stack.input_spec, stack.output_spec
  one = inputs.discrete and outputs.classes == inputs.size
  rule = f'inputs and outputs must be ids of one vocabulary, not {inputs} and '
  require(one or not stack.tie, 'tie', stack.tie, f'{rule}{outputs}')
  tied, known = stack.tie_projections, ', '.join(TIED)
  field = 'tie_projections'
  require(tied in TIED, field, tied, f'must be one of {known}')
  if clusters is None:
    rule = 'needs cutoffs or embedding_width'
    require(stack.shrink == 1, 'shrink', stack.shrink, rule)
    require(tied == 'none', field, tied, rule)
    return
  adaptive = 'cutoffs' if stack.cutoffs else 'embedding_width'
  require(one, adaptive, getattr(stack, adaptive), f'{rule}{outputs}')
  rule = 'needs projections: embedding_width or shrink'
  require(tied == 'none' or clusters.projected, field, tied, rule)
  rule = 'must be 0 with cutoffs or embedding_width: outputs are log p'
  require(stack.softcap == 0, 'softcap', stack.softcap, rule)
