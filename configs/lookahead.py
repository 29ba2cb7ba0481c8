"""What the future is worth: tags by a memory that waits k steps, or both ways.

Paper: Graves & Schmidhuber 2005, https://doi.org/10.1016/j.neunet.2005.06.042,
for delayed targets and both ways.
Command: python launch.py --config=configs/lookahead.py:gru-4
  another memory: --config.model.layer.layer.name=lstm.LSTM
Result: experiments/lookahead/README.md.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.variants import quick, split_variant

STEPS = ('0', '1', '2', '4', '8')
BOTH = 'both_ways'
VARIANTS = tuple(f'gru-{k}' for k in (*STEPS, BOTH))


def get_config(variant: str = 'gru-4') -> ConfigDict:
  """A memory and its k, `gru-4` or `gru-both_ways`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  name, _, wait = both.partition('-')
  steps = 0 if wait == BOTH else int(wait)
  config = base()
  task = {'name': 'hidden_tags.HiddenTags', 'length': 64}
  delayed = {'name': 'delayed.Delayed', 'task': task, 'steps': steps}
  config.task = ConfigDict(delayed)
  width = 16 if size == 'quick' else 64
  config.model = model(name, width=width, depth=1, window=width)
  if wait != '0':
    wrapper = {'name': 'bidirectional.Bidirectional'}
    if wait != BOTH:
      waits = config.task.get_oneway_ref('steps')
      wrapper = {'name': 'lookahead.Lookahead', 'steps': waits}
    inner = config.model.layer.to_dict()
    config.model.layer = ConfigDict(wrapper | {'layer': inner})
  config.train.update(steps=2000, batch_size=32, steps_per_call=20)
  config.optim.update(learning_rate=3e-3, warmup_steps=50)
  config.log.every = 100
  config.checkpoint.update(every=500, best='held_out/loss')
  config.evals.held_out = ConfigDict(
    {'every': 500, 'batch_size': 200, 'steps': 5}
  )
  if size == 'quick':
    config.task.task.length = 12
    quick(config)
  return config.lock()
