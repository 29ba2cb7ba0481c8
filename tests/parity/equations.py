"""NumPy functions that float64 evaluations of several papers share."""

import math
from typing import Any

import numpy as np


def sigmoid(a: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-a))


def silu(a: np.ndarray) -> np.ndarray:
  return a * sigmoid(a)


def gelu(a: np.ndarray) -> np.ndarray:
  """The usual approximation, with tanh."""
  inner = math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)
  return 0.5 * a * (1 + np.tanh(inner))


def softplus(a: np.ndarray) -> np.ndarray:
  return np.log1p(np.exp(a))


def unit(a: np.ndarray) -> np.ndarray:
  return a / np.sqrt((a**2).sum(-1, keepdims=True) + 1e-6)


def rms(p: dict[str, Any], a: np.ndarray) -> np.ndarray:
  """With a gain; epsilon 1e-5."""
  return a / np.sqrt((a**2).mean(-1, keepdims=True) + 1e-5) * p['scale']


def affine(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  return x @ p['kernel'] + p.get('bias', 0)


def convolved(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray
) -> np.ndarray:
  """The short convolution of one row, `(T, F)`: a loop over steps and taps."""
  taps = len(p['kernel'])
  y = np.zeros_like(x) + p.get('bias', 0)
  start = 0
  for t in range(len(x)):
    start = t if reset[t] else start
    for back in range(taps):
      if t - back >= start:
        y[t] += p['kernel'][taps - 1 - back] * x[t - back]
  return y


def floors(g: np.ndarray, units: int, index: int) -> np.ndarray:
  """The floors of layer `index`, from numbers of all layers and units."""
  shares = np.exp(g.reshape(-1, units))
  return (shares / shares.sum(0))[1 : index + 1].sum(0)
