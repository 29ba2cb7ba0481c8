"""The size of a row's carry, and how much of the past each bit of it stores."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.base import Memory

DEFINITION = """
    Bits of state per symbol: the bits of one row's carry over the number of
    symbols that can be recovered from it. By Fano's inequality (Cover & Thomas
    2006, Elements of Information Theory, theorem 2.10.1), a predictor with
    error rate e on a token of entropy H, one of V, recovers at least

        H - h(e) - e log2(V - 1)

    bits, where h is the entropy of a coin. The recalled bits are the sum over
    the lags whose accuracy is above chance. Each lag's bits over its H are its
    symbols. This is a lower bound if the inputs are independent of each other,
    as they are in most generated tasks. The tokens of a text depend on each
    other, so some bits are counted twice. Bits from accuracies are as in
    Collins, Sohl-Dickstein & Sussillo 2017, https://arxiv.org/abs/1611.09913.

    Units: state in bits; density in bits of state per symbol.
    """


class State(NamedTuple):
  """Bytes of one row's carry: of its floats, and of integers and booleans."""

  floating: int
  integer: int

  @property
  def bits(self) -> int:
    return 8 * sum(self)


class Density(NamedTuple):
  """How much state a memory spends on a symbol.

  Attributes:
    state_bits: of one row.
    recalled_bits: `(N,)`, a lower bound of the bits recovered of the past.
    symbols: `(N,)`, the same in symbols.
    bits_per_symbol: `(N,)`; NaN where nothing is recovered.
  """

  state_bits: int
  recalled_bits: np.ndarray
  symbols: np.ndarray
  bits_per_symbol: np.ndarray


def state_size(model: Memory) -> State:
  """Bytes of one row's carry."""
  sizes = {True: 0, False: 0}
  for leaf in jax.tree.leaves(jax.eval_shape(lambda: model.initial_carry(1))):
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    sizes[bool(floating)] += leaf.size * leaf.dtype.itemsize
  return State(sizes[True], sizes[False])


def density(
  model: Memory,
  accuracy_NL: np.ndarray,
  chance_L: np.ndarray,
  entropy_L: np.ndarray,
  classes: int,
) -> Density:
  """Bits of state per symbol recovered from the whole carry.

  Args:
    model: the memory that was probed.
    accuracy_NL: of probes of the whole carry, by lag; other lags do not count.
    chance_L: accuracy without the carry.
    entropy_L: of the tokens, in bits.
    classes: V, at least 2.
  """
  recovered_NL = fano(accuracy_NL, entropy_L, classes)
  bits_NL = np.where(accuracy_NL > chance_L, recovered_NL, 0)
  symbols_N = (bits_NL / np.where(entropy_L > 0, entropy_L, np.inf)).sum(1)
  state_bits = state_size(model).bits
  per_symbol_N = state_bits / np.where(symbols_N > 0, symbols_N, np.nan)
  return Density(state_bits, bits_NL.sum(1), symbols_N, per_symbol_N)


def fano(
  accuracy: np.ndarray, entropy: np.ndarray | float, classes: int
) -> np.ndarray:
  """The least information, in bits, of predictions with this accuracy.

  Args:
    accuracy: share of correct predictions.
    entropy: of what is predicted, in bits.
    classes: V, at least 2.
  """
  error = 1 - accuracy
  coin = sum(-p * np.log2(np.where(p > 0, p, 1)) for p in (accuracy, error))
  return np.maximum(entropy - coin - error * np.log2(classes - 1), 0)
