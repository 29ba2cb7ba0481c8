"""Writes what PyTorch's recurrent layers compute, as golden values.

    python tests/parity/golden/make_torch.py    (needs torch and numpy)

Each `torch_*.npz` holds PyTorch's parameters under their own names, inputs
`x` (B, T, F) and initial states (L, B, D), outputs `y` and last states, the
weights of a loss sum(y * weight_y) + sum(last states * weight_state), and
under `grad.` the gradient of every parameter, of x and of the initial states.
"""

import pathlib
from typing import Any

import numpy as np
import torch

ROWS, STEPS, FEATURES, WIDTH = 2, 19, 3, 4
LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
  'rnn': (torch.nn.RNN, {}),
  'rnn_relu': (torch.nn.RNN, {'nonlinearity': 'relu'}),
  'lstm': (torch.nn.LSTM, {}),
  'lstm_2': (torch.nn.LSTM, {'num_layers': 2}),
  'gru': (torch.nn.GRU, {}),
}


def main() -> None:
  for name, (layer, options) in LAYERS.items():
    torch.manual_seed(0)
    net = layer(FEATURES, WIDTH, batch_first=True, **options).double()
    shape = net.num_layers, ROWS, WIDTH
    names = ['h', 'c'] if layer is torch.nn.LSTM else ['h']
    leaves = {'x': torch.randn(ROWS, STEPS, FEATURES).double()}
    leaves |= {n: torch.randn(shape).double() for n in names}
    for leaf in leaves.values():
      leaf.requires_grad_()
    states = [leaves[n] for n in names]
    y, last = net(leaves['x'], tuple(states) if len(states) > 1 else states[0])
    lasts = last if len(states) > 1 else (last,)
    weight_y = torch.randn(y.shape).double()
    weight_state = torch.randn(shape).double()
    loss = (y * weight_y).sum() + sum((v * weight_state).sum() for v in lasts)
    loss.backward()
    leaves |= dict(net.named_parameters())
    arrays = leaves | {'y': y, 'weight_y': weight_y}
    arrays |= {'weight_state': weight_state}
    arrays |= {f'last_{n}': v for n, v in zip(names, lasts, strict=True)}
    arrays |= {f'grad.{n}': v.grad for n, v in leaves.items()}
    np.savez_compressed(
      pathlib.Path(__file__).parent / f'torch_{name}.npz',
      version=torch.__version__,
      **{n: v.detach().numpy() for n, v in arrays.items()},
    )


if __name__ == '__main__':
  main()
