"""The distribution of the size of ListOps's nested lists, in tokens.

A list is an operator, its arguments and an end. An argument is a nested list
with probability LIST, otherwise one digit. The distribution of the size of
several arguments is the convolution of their distributions.
"""

import functools
from typing import NamedTuple

import numpy as np

LIST = 0.25


class SizeDistributions(NamedTuple):
  """Probabilities of the sizes 0 to T, by depth and by number of arguments.

  Attributes:
    lists: of an argument that is a list, scaled to a maximum of 1.
    log_list: logarithm of the unscaled probability of the same.
    others: of a number of arguments, scaled to a maximum of 1, from size T down
      to 0 and followed by T zeros.
    log_first: logarithm, of a number of arguments, the first of them a list.
    log_arguments: logarithm, of all arguments of a list, at least two.
  """

  lists: np.ndarray
  log_list: np.ndarray
  others: np.ndarray
  log_first: np.ndarray
  log_arguments: np.ndarray


@functools.lru_cache(maxsize=8)
def size_distributions(
  length: int, depth: int, arguments: int
) -> SizeDistributions:
  """The distributions of lists without a size limit, for sizes up to `length`.

  Args:
    length: T, the largest size.
    depth: arguments at this level are digits only, so at most `depth - 1` lists
      are nested.
    arguments: largest number of arguments of a list.
  """
  sizes = length + 1
  list_ = np.zeros((depth + 1, sizes))
  first = np.zeros((depth + 1, arguments + 1, sizes))
  all_ = np.zeros((depth + 1, arguments + 1, sizes))
  for level in reversed(range(1, depth + 1)):
    if level < depth:
      inside = all_[level + 1, 2:].mean(axis=0)
      list_[level, 2:] = LIST * inside[:-2]
    argument = list_[level].copy()
    argument[1] += 1 - LIST if level < depth else 1.0
    all_[level, 0, 0] = 1.0
    for count in range(1, arguments + 1):
      before = all_[level, count - 1]
      all_[level, count] = np.convolve(before, argument)[:sizes]
      first[level, count] = np.convolve(before, list_[level])[:sizes]
  several = all_.copy()
  several[:, :2] = 0.0
  tops = np.maximum(all_.max(axis=-1, keepdims=True), 1e-300)
  others = np.pad((all_ / tops)[..., ::-1], [(0, 0), (0, 0), (0, length)])
  highest = np.maximum(list_.max(axis=-1, keepdims=True), 1e-300)
  with np.errstate(divide='ignore'):
    logs = [np.log(x) for x in (list_, first, several)]
  return SizeDistributions(list_ / highest, logs[0], others, logs[1], logs[2])
