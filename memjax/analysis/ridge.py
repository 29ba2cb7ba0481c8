"""Ridge regression from more numbers than states: all by products of states.

With K the products of centred states, those it is fitted to first, and y their
centred targets, the answers are K (K_fit + lambda)^-1 y: what a regression on
the numbers themselves would say, at the price of the states, not the numbers.
Source: Saunders, Gammerman & Vovk 1998, Ridge regression learning algorithm in
dual variables, ICML.

Further letters: S states, X numbers of a state, L targets of O outputs each.
"""

import numpy as np

STRENGTHS = 10.0 ** np.arange(-6, 2)  # of the penalty, for states of length 1


def kernel(state_SX: np.ndarray) -> np.ndarray:
  """Products of centred states; the mean one has length 1, or all have 0."""
  if np.issubdtype(state_SX.dtype, np.floating):
    exact = state_SX.astype(np.float64)
    exact -= _fitted(exact).mean(0)
    products = exact @ exact.T
  else:  # one-hot codes have as many ones in common as numbers are equal
    products = np.zeros((len(state_SX),) * 2)
    for column_S in state_SX.T:
      products += column_S[:, None] == column_S[None]
    mean_S = _fitted(products).mean(0)
    products += _fitted(mean_S).mean() - mean_S[:, None] - mean_S[None]
  variance = _fitted(products.diagonal()).mean()
  return products / variance if variance > 0 else products


def answers(kernel_SS: np.ndarray, target_SLO: np.ndarray) -> np.ndarray:
  """What the regressions say of the last fifth of the states, `(·, L, O)`.

  Each lag has the penalty that does best, by squares, on the states between.
  """
  fit, chosen = _parts(len(kernel_SS))
  mean_LO = target_SLO[:fit].mean(0)
  y_SLO = target_SLO - mean_LO
  values, vectors = np.linalg.eigh(kernel_SS[:fit, :fit])
  turned = vectors.T @ y_SLO[:fit].reshape(fit, -1)
  seen = kernel_SS[fit:, :fit] @ vectors
  best = np.full(y_SLO.shape[1], np.inf)
  said_SLO = np.zeros_like(y_SLO[chosen:])
  for strength in STRENGTHS:
    answers = (seen / (values + strength * fit)) @ turned
    answers = answers.reshape(-1, *y_SLO.shape[1:])
    error_L = np.square(answers[: chosen - fit] - y_SLO[fit:chosen]).sum((0, 2))
    better_L = error_L < best
    best = np.minimum(best, error_L)
    said_SLO[:, better_L] = answers[chosen - fit :, better_L]
  return said_SLO + mean_LO


def blind(target_SLO: np.ndarray) -> np.ndarray:
  """What is said of the last states by who sees none of them: the mean."""
  last_SLO = target_SLO[_parts(len(target_SLO))[1] :]
  return np.broadcast_to(_fitted(target_SLO).mean(0), last_SLO.shape)


def _parts(states: int) -> tuple[int, int]:
  """Where those to fit end, and those to choose the penalty by."""
  return 3 * states // 5, 4 * states // 5


def _fitted(x_S: np.ndarray) -> np.ndarray:
  return x_S[: _parts(len(x_S))[0]]
