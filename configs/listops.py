"""ListOps: nested operations on digits, 128 to 512 tokens, and 1024.

Paper: Tay et al. 2020, Long Range Arena, https://arxiv.org/abs/2011.04006;
its figures for 500 to 2000 tokens: Transformer 36.4 %, S4 59.5 %.
Command: python launch.py --config=configs/listops.py:transformer
  the paper's lengths: --config.task.shortest=500 --config.task.length=2000
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'transformer') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'listops.ListOps', 'length': 512, 'shortest': 128}
  )
  config.model = model(name, width=128, depth=4, window=512)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=1e-3, warmup_steps=500, weight_decay=0.01)
  config.log.every = 100
  longer = {'shortest': 1024, 'length': 1024}
  for label, fields in (('held_out', {}), ('longer', longer)):
    rows = {'every': 1000, 'batch_size': 50, 'steps': 20}
    config.evals[label] = ConfigDict(rows | {'task': fields})
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  if size == 'quick':
    config.task.update(length=16, shortest=4)
    config.evals.longer.task = ConfigDict({'shortest': 24, 'length': 24})
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
