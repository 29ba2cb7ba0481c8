"""Copy, reverse and retrieval for models that read segment by segment.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks: 4 layers of
width 128, Adam at 1e-4, batches of 32. Accuracy of copy in 6 segments: .102
without memory, .967 for Transformer-XL, for theirs 1.0 at best and .55 on
average; in 9 segments: .102, .278, 1.0, .614. The gradient crosses all segments
of a row.
Command: python launch.py --config=configs/segments.py:copy-transformer_xl
  --config.task.segments=9
Result: with fewer steps, in experiments/leaderboard/earlier.md. Not measured
  with the settings here.
Deviations: a cosine schedule over 100,000 steps, not reductions on plateaus
over up to 400,000; every step draws new rows, not from 10,000. The model
without memory is `transformer`, whose window is one segment.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

# {task: (class, segments, fields of the quick version)}
TASKS = {
  'copy': ('segment_copy.SegmentCopy', 6, {'symbols': 4, 'segments': 3}),
  'reverse': ('segment_reverse.SegmentReverse', 6, {'symbols': 4}),
  'retrieval': (
    'associative_retrieval.AssociativeRetrieval',
    5,
    {'pairs': 2, 'segments': 3},
  ),
}
SEGMENT_WINDOW = (
  'transformer',
  'sliding',
  'transformer_xl',
)  # models whose window is a segment
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'copy-transformer_xl') -> ConfigDict:
  """A task and a model, `reverse-lstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, segments, small = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path, 'segments': segments})
  if task == 'retrieval':
    config.task.pairs = 4
    steps = 2 * config.task.get_oneway_ref('pairs') + 2
  else:
    config.task.symbols = 24
    steps = (3 if task == 'copy' else 2) * config.task.get_oneway_ref('symbols')
  # References follow values that are set on the command line.
  segments = config.task.get_oneway_ref('segments')
  config.train.segment_length = (steps + segments - 1) // segments
  config.train.bptt_segments = config.task.get_oneway_ref('segments')
  segment = config.train.get_oneway_ref('segment_length')
  context = segment if name in SEGMENT_WINDOW else 24
  config.model = model(name, width=128, depth=4, window=context)
  config.train.update(steps=100_000, batch_size=32, steps_per_call=50)
  config.optim.update(name='adam', learning_rate=1e-4, clip_norm=0.25)
  config.log.every = 500
  config.checkpoint.update(every=2500, best='held_out/accuracy', best_is='max')
  config.evals.held_out = ConfigDict(
    {'every': 2500, 'batch_size': 100, 'steps': 10}
  )
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=8)
    quick(config)
  return config.lock()
