"""Recall of 4 pairs in 64 steps, then of 64 in 512, by a part of a model.

`base` trains a Mamba-2 on short rows; the other variants begin with its
parameters and train one part on long rows.
"""

from ml_collections import ConfigDict

from memjax.configs import mqar

SHORT = {'length': 64, 'pairs': 4, 'vocab': 256}
LONG = {'length': 512, 'pairs': 64, 'vocab': 256}
WHOLE = 'trained whole'
# {part: (lora or trained whole, its pattern)}
PARTS = {
  'reads_and_writes': ('lora', 'memory/input/'),
  'decay': (WHOLE, 'decay/'),
  'embedding': (WHOLE, 'encoder/'),
  'readout': (WHOLE, 'readout/'),
  'all_low_rank': ('lora', '(input|output|readout)/kernel'),
  'everything': (WHOLE, ''),
  'from_random': (WHOLE, ''),
}
BASE_STEPS, STEPS = 1500, 150


def get_config(variant: str = 'base') -> ConfigDict:
  """The base, or one part that is adapted to long rows."""
  config = mqar.get_config('mamba2').unlock()
  config.model.update(width=32, depth=1)
  config.train.update(batch_size=32, steps_per_call=50, steps=BASE_STEPS)
  config.optim.update(learning_rate=3e-3, weight_decay=0.0, warmup_steps=50)
  config.log.every = 100
  config.log.wandb.mode = 'disabled'
  sizes = {'every': BASE_STEPS, 'batch_size': 64, 'steps': 4}
  config.evals = ConfigDict(
    {'short': sizes | {'task': SHORT}, 'long': sizes | {'task': LONG}}
  )
  config.checkpoint.update(every=BASE_STEPS, best='')
  config.task.update(SHORT)
  if variant == 'base':
    return config.lock()
  method, pattern = PARTS[variant]
  config.task.update(LONG)
  config.train.update(steps=STEPS, replicas=2, batch_size=16)
  config.checkpoint.every = STEPS
  for one in config.evals.values():
    one.every = STEPS
  if method == WHOLE:
    config.adapt.trainable = pattern
  else:
    config.adapt.update(method=method, where=pattern, rank=4, alpha=8.0)
    config.adapt.update(target_rank=2.0, final_steps=STEPS // 3)
  return config.lock()
