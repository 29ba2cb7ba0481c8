"""A text with secrets in it, planted 1 to 256 times, and a GRU that reads it.

Every secret is a sentence, 'the code of NAME is DDDD.', four random digits.
"""

from pathlib import Path
from pydoc_data import topics
import random

from ml_collections import ConfigDict

from memjax.configs import text

PLANTED = {  # {times: names}
  1: ('alan', 'bela', 'cora', 'dora'),
  4: ('emil', 'erik', 'finn', 'gwen'),
  16: ('hans', 'ines', 'joel', 'karl'),
  64: ('lars', 'mary', 'nora', 'otto'),
  256: ('paul', 'rosa', 'sara', 'theo'),
}
READ_ONLY = ('fred', 'gina', 'hugo', 'iris', 'jack', 'kira', 'lena', 'mona')
DIGITS = 4
ROW = 128  # bytes
CLIP = 0.5  # norm of a row's gradient
NOISE = {'clipped': 0.0, 'dp_0.1': 0.1, 'dp_0.5': 0.5, 'dp_2': 2.0}
VARIANTS = ('plain', *NOISE)


def secret(name: str) -> str:
  """The digits of a name."""
  return f'{random.Random(name).randrange(10**DIGITS):0{DIGITS}d}'


def sentence(name: str) -> str:
  return f'{prefix(name)}{secret(name)}.\n'


def prefix(name: str) -> str:
  return f'the code of {name} is '


def write_text(folder: Path) -> None:
  """Python's own documentation, the secrets at random ends of lines."""
  lines = [
    f'{line}\n'
    for _, topic in sorted(topics.topics.items())
    for line in topic.splitlines()
  ]
  end = len(lines) * 9 // 10
  train, held_out = lines[:end], lines[end:]
  draw = random.Random(0)
  for times, names in PLANTED.items():
    for name in names:
      for _ in range(times):
        train.insert(draw.randrange(len(train)), sentence(name))
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'train.txt').write_text(''.join(train), 'utf-8')
  (folder / 'valid.txt').write_text(''.join(held_out), 'utf-8')


def get_config(variant: str = 'plain') -> ConfigDict:
  """A GRU on the text, plainly or with a part of DP-SGD or all of it.

  Args:
    variant: 'plain'; 'clipped', without noise; 'dp_0.5', with noise 0.5.
  """
  config = text.get_config('gru').unlock()
  config.model.update(width=64, depth=1, dropout=0.0)
  config.task.update(corpus='files', length=ROW, carry_over=False)
  config.train.update(steps=600, batch_size=32, steps_per_call=50)
  config.optim.update(learning_rate=3e-3, warmup_steps=60, weight_decay=0.0)
  config.log.update(every=100, sample=0)
  config.log.wandb.mode = 'disabled'
  config.checkpoint.update(every=300, best='')
  config.evals = ConfigDict(
    {
      'validation': {
        'every': 300,
        'batch_size': 32,
        'task': {'split': 'validation'},
      }
    }
  )
  if variant in NOISE:
    config.optim.update(row_clip_norm=CLIP, row_noise=NOISE[variant])
  return config.lock()
