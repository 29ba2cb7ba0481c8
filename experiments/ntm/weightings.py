"""Draws the head positions of a trained NTM or DNC while it copies.

python -m experiments.ntm.weightings WORKDIR PICTURE [--replica=0]
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import memjax
from memjax.analysis.weightings import draw, weightings
from memjax.tasks.ntm.bit_copy import BitCopy

VECTORS, SEED = 20, 0


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workdir', type=Path)
  parser.add_argument('picture', type=Path)
  parser.add_argument('--replica', type=int, default=0)
  given = parser.parse_args()
  run = memjax.load(given.workdir, replica=given.replica)
  task = BitCopy(shortest=VECTORS, longest=VECTORS)
  example = task.example(jax.random.key(SEED))
  inputs = np.asarray(example.inputs)
  logits, weights = weightings(run.model, run.params, inputs)
  labels = np.asarray(example.loss_weights_T)[:, None]
  draw(inputs, labels / (1 + np.exp(-logits)), weights, given.picture)


if __name__ == '__main__':
  main()
