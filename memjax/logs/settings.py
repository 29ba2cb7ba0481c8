"""Which views of a run are open, and what they say about it."""

from typing import NamedTuple


class LogSettings(NamedTuple):
  """The settings of the console, wandb and TensorBoard.

  Attributes:
    total_steps: number of steps of the whole run.
    best: the field `checkpoint.best`, which decides the headline metric.
    parameters: number of parameters of the model, of one replica.
    tensorboard: whether to write TensorBoard's files.
    wandb_mode: auto (online if an API key is found, else offline, and disabled
      if wandb is not installed), online, offline or disabled.
    wandb_project: the run's project.
    wandb_name: the run's name; empty for the name of the workdir.
    wandb_group: the run's group; empty for none.
    wandb_tags: the run's tags.
  """

  total_steps: int
  best: str = ''
  parameters: int = 0
  tensorboard: bool = False
  wandb_mode: str = 'disabled'
  wandb_project: str = 'memjax'
  wandb_name: str = ''
  wandb_group: str = ''
  wandb_tags: tuple[str, ...] = ()
