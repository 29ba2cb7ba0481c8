"""What do parameters and carry tell of a secret that was read n times?

    python -m experiments.privacy.run [--runs=FOLDER]

A GRU learns a text in which secrets stand 1 to 256 times, plainly, with clipped
rows, and with DP-SGD at several sizes of the noise. Exposure in bits is
measured from the parameters, with an empty carry; and from the carry, for
secrets that only the carry has read. Each figure is the mean of several
secrets, with the least and the most. The same command resumes.
"""

import argparse
from collections.abc import Sequence
import functools
import math
from pathlib import Path
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from experiments.privacy.canaries import (
  DIGITS,
  NOISE,
  PLANTED,
  READ_ONLY,
  ROW,
  VARIANTS,
  prefix,
  secret,
  sentence,
  write_text,
)
from memjax.analysis.exposure import candidate_losses, exposure
from memjax.models.base import apply
from memjax.runs.load import Run, load
from memjax.types import Carry

BETWEEN = (0, 32, 128, 512, 2048)  # bytes between a secret and its prefix
DELTA = 1e-5
read = jax.jit(apply, static_argnums=0)
ORDERS = [1 + 2.0 ** (n / 4) for n in range(-24, 40)]  # of Renyi's divergence


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/privacy'))
  runs = parser.parse_args().runs
  write_text(runs / 'text')
  rows = (runs / 'text/train.txt').stat().st_size // ROW
  columns = ['training', 'epsilon', 'bits a byte']
  columns += [f'planted {n}' for n in PLANTED]
  print(' | '.join([*columns, *(f'read {n} bytes ago' for n in BETWEEN)]))
  for variant in VARIANTS:
    subprocess.run(command(variant, runs), check=True)
    run = load(runs / variant, carry=False)
    train = run.config['train']
    times = math.ceil(train['steps'] * train['batch_size'] / rows)
    loss = run.metrics['validation/loss'] / math.log(2)
    found = [of_parameters(run, names) for names in PLANTED.values()]
    text = (runs / 'text/valid.txt').read_bytes()
    found += [of_carry(run, text[:between]) for between in BETWEEN]
    shown = [f'{epsilon(NOISE.get(variant, 0.0), times):.3g}', f'{loss:.3f}']
    print(' | '.join([variant, *shown, *summaries(found)]), flush=True)
  text = (runs / 'text/train.txt').read_bytes()
  found = [of_frequencies(text, names) for names in PLANTED.values()]
  print(' | '.join(['digits by frequency', '', '', *summaries(found)]))


def summaries(found: Sequence[Sequence[float]]) -> list[str]:
  """The mean of each group of figures, the least and the most."""
  return [
    f'{np.mean(bits):.1f} ({min(bits):.1f} to {max(bits):.1f})'
    for bits in found
  ]


def command(variant: str, runs: Path) -> list[str]:
  """The command that trains a variant."""
  launch = [sys.executable, 'launch.py', f'--workdir={runs / variant}']
  config = f'--config=experiments/privacy/canaries.py:{variant}'
  return [*launch, config, f'--config.task.path={runs / "text"}']


def of_parameters(run: Run, names: Sequence[str]) -> list[float]:
  """The exposure of secrets from an empty carry."""
  empty = run.model.initial_carry(1)
  return [exposed(run, empty, b'\n', name) for name in names]


def of_carry(run: Run, text: bytes) -> list[float]:
  """The exposure of secrets that were read once, before this text."""
  found = []
  for name in READ_ONLY:
    row = encoded(run, sentence(name).encode() + text)[None]
    none, empty = jnp.zeros(row.shape, bool), run.model.initial_carry(1)
    carry, _ = read(run.model, run.params, empty, row, none)
    found.append(exposed(run, carry, b'\n', name))
  return found


def of_frequencies(text: bytes, names: Sequence[str]) -> list[float]:
  """The exposure to one who knows how often each digit is in a text."""
  counts = np.array([text.count(b'%d' % digit) for digit in range(10)])
  chances = functools.reduce(np.multiply.outer, [counts] * DIGITS).ravel()
  return [exposure(-chances, int(secret(name))) for name in names]


def exposed(run: Run, carry: Carry, before: bytes, name: str) -> float:
  """The exposure of a name's secret, of all numbers of as many digits."""
  assert run.tokenizer is not None
  every = ''.join(f'{number:0{DIGITS}d}' for number in range(10**DIGITS))
  tokens = run.tokenizer.encode(every.encode())  # a digit is a token
  candidates = jnp.asarray(tokens, jnp.int32).reshape(-1, DIGITS)
  asked = encoded(run, before + prefix(name).encode())
  losses = candidate_losses(run.model, run.params, carry, asked, candidates)
  return exposure(np.asarray(losses), int(secret(name)))


def encoded(run: Run, text: bytes) -> jax.Array:
  assert run.tokenizer is not None
  return jnp.asarray(run.tokenizer.encode(text), jnp.int32)


def epsilon(noise: float, times: int) -> float:
  """The privacy loss of a row that is read this number of times.

  Renyi's divergence of order a between the results with and without the row is
  at most `times` a / (2 noise^2); Mironov 2017,
  https://arxiv.org/abs/1702.07476, propositions 3 and 7. Rows come in turn and
  not by chance, so nothing is gained by sampling.
  """
  if not noise:
    return math.inf
  return min(
    times * a / (2 * noise**2) + math.log(1 / DELTA) / (a - 1) for a in ORDERS
  )


if __name__ == '__main__':
  main()
