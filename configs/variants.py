"""Variants of a config: its models, each with a short form for tests."""

from ml_collections import ConfigDict


def quick(config: ConfigDict) -> ConfigDict:
  """Shortens a config for tests: two steps, one evaluation, two checkpoints."""
  config.train.update(steps=2, batch_size=8, steps_per_call=1)
  config.log.update(every=1, sample=0, wandb={'mode': 'disabled'})
  config.checkpoint.every = 1
  config.optim.warmup_steps = min(config.optim.warmup_steps, 1)
  for evaluation in config.evals.values():
    evaluation.update(every=2, batch_size=8, steps=2)
  return config


def split_variant(variant: str, known: tuple[str, ...]) -> tuple[str, str]:
  """The model and the size in a variant: 'lstm,quick' or 'lstm'.

  Raises:
    ValueError: the model is unknown, or the size is not 'quick'.
  """
  name, _, size = variant.partition(',')
  if name not in known or size not in ('', 'quick'):
    options = ', '.join(known)
    raise ValueError(f'variants are {options}, each with or without ,quick')
  return name, size
