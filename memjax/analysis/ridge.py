"""Ridge regression in its dual form, for more numbers than states.

With K the inner products of the centred states, the states to fit first, and y
the centred targets, the predictions are K (K_fit + lambda)^-1 y. A regression
on the numbers themselves would predict the same. The cost grows with the number
of states and not with the number of numbers.

Source: Saunders, Gammerman & Vovk 1998, Ridge regression learning algorithm in
dual variables, ICML.

Further letters: S states, X numbers of a state, L targets with O outputs each.
"""

import numpy as np

STRENGTHS = 10.0 ** np.arange(-6, 2)  # of the penalty, for states of norm 1


def kernel(state_SX: np.ndarray) -> np.ndarray:
  """Inner products of centred states, scaled to a mean squared norm of 1.

  If all states are the same, all products are 0.
  """
  if np.issubdtype(state_SX.dtype, np.floating):
    exact = state_SX.astype(np.float64)
    exact -= _fitted(exact).mean(0)
    products = exact @ exact.T
  else:  # the product of two one-hot codes is the number of equal entries
    products = np.zeros((len(state_SX),) * 2)
    for column_S in state_SX.T:
      products += column_S[:, None] == column_S[None]
    mean_S = _fitted(products).mean(0)
    products += _fitted(mean_S).mean() - mean_S[:, None] - mean_S[None]
  variance = _fitted(products.diagonal()).mean()
  return products / variance if variance > 0 else products


def predict(kernel_SS: np.ndarray, target_SLO: np.ndarray) -> np.ndarray:
  """The predictions for the last fifth of the states, `(·, L, O)`.

  Each lag has the penalty with the least squared error on the fifth before.
  """
  fit, score = _parts(len(kernel_SS))
  mean_LO = target_SLO[:fit].mean(0)
  y_SLO = target_SLO - mean_LO
  values, vectors = np.linalg.eigh(kernel_SS[:fit, :fit])
  rotated = vectors.T @ y_SLO[:fit].reshape(fit, -1)
  basis = kernel_SS[fit:, :fit] @ vectors
  best = np.full(y_SLO.shape[1], np.inf)
  predicted_SLO = np.zeros_like(y_SLO[score:])
  for strength in STRENGTHS:
    predictions = (basis / (values + strength * fit)) @ rotated
    predictions = predictions.reshape(-1, *y_SLO.shape[1:])
    error_L = np.square(predictions[: score - fit] - y_SLO[fit:score]).sum(
      (0, 2)
    )
    better_L = error_L < best
    best = np.minimum(best, error_L)
    predicted_SLO[:, better_L] = predictions[score - fit :, better_L]
  return predicted_SLO + mean_LO


def predict_mean(target_SLO: np.ndarray) -> np.ndarray:
  """The prediction for the last fifth without the states: the mean."""
  last_SLO = target_SLO[_parts(len(target_SLO))[1] :]
  return np.broadcast_to(_fitted(target_SLO).mean(0), last_SLO.shape)


def _parts(states: int) -> tuple[int, int]:
  """The ends of the states to fit and of those that choose the penalty."""
  return 3 * states // 5, 4 * states // 5


def _fitted(x_S: np.ndarray) -> np.ndarray:
  return x_S[: _parts(len(x_S))[0]]
