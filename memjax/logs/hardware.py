"""What a step asks of the hardware, and what the hardware can do.

Model FLOPs utilisation (MFU, Chowdhery et al. 2022, PaLM, appendix B,
https://arxiv.org/abs/2204.02311) is the number of floating point operations in
the matrix products of the steps, over the number that the devices could do in
the same time. XLA's cost analysis counts the body of a loop once, however often
it runs, so a recurrent model would seem cheaper by a factor of its length.
`matmul_flops` counts the body once for each turn.
"""

from collections.abc import Iterable
import math
import re
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params

# Dense bfloat16 operations per second of one device, as jax counts devices.
# NVIDIA: product data sheets, without sparsity. TPU: chips of
# https://cloud.google.com/tpu/docs/system-architecture-tpu-vm; a device is half
# of a v2 or v3 chip. The first expression that matches words of the kind holds.
PEAKS = {
  'B200': 2250e12,
  'H200': 989e12,
  'GH200': 989e12,
  'H100 PCIe': 756e12,
  'H100 NVL': 835e12,
  'H100': 989e12,
  'A100': 312e12,
  'A30': 165e12,
  'A10': 125e12,
  'L40S': 362e12,
  'L4': 121e12,
  'RTX 4090$': 165e12,  # not the laptop's
  'RTX 3090$': 71e12,
  'TPU v2': 22.5e12,
  'TPU v3': 61.5e12,
  'TPU v4 lite': 137e12,
  'TPU v4': 275e12,
  'TPU v5 lite': 197e12,
  'TPU v5e': 197e12,
  'TPU v5': 459e12,
  'TPU v5p': 459e12,
  'TPU v6 lite': 918e12,
  'TPU v6e': 918e12,
}


def peak_flops(kind: str) -> float | None:
  """Operations per second of a device of this kind; None if not known."""
  for name, peak in PEAKS.items():
    if re.search(rf'(^|[ -]){name}($|[ -])', kind):
      return peak
  return None


def total_peak(devices: Iterable[jax.Device]) -> float | None:
  """Operations per second of all devices; None if one is not known."""
  peaks = [peak_flops(device.device_kind) for device in devices]
  known = [peak for peak in peaks if peak is not None]
  return sum(known) if len(known) == len(peaks) else None


def peak_memory() -> int | None:
  """The most bytes that a device of this process held so far.

  None where devices do not report it, as on a CPU.
  """
  stats = [device.memory_stats() for device in jax.local_devices()]
  peaks = [s['peak_bytes_in_use'] for s in stats if s]
  return max(peaks, default=None)


def matmul_flops(jaxpr: Jaxpr) -> int:
  """Floating point operations of a program's matrix products.

  A product of (m, k) and (k, n) has 2 m k n. Convolutions count as well. The
  body of a scan counts for each turn, that of any other loop once; of several
  branches the most expensive one counts.
  """
  return sum(_flops(equation) for equation in jaxpr.eqns)


def _flops(equation: JaxprEqn) -> int:
  name, params = equation.primitive.name, equation.params
  if name == 'dot_general':
    (contracted, _), _ = params['dimension_numbers']
    shape = _shape(equation.invars[0])
    depth = math.prod(shape[axis] for axis in contracted)
    return 2 * math.prod(_shape(equation.outvars[0])) * depth
  if name == 'conv_general_dilated':
    kernel = _shape(equation.invars[1])
    outputs = kernel[params['dimension_numbers'].rhs_spec[0]]
    depth = math.prod(kernel) // outputs
    return 2 * math.prod(_shape(equation.outvars[0])) * depth
  inside = [matmul_flops(jaxpr) for jaxpr in jaxprs_in_params(params)]
  if name == 'cond':
    return max(inside)
  return sum(inside) * (params['length'] if name == 'scan' else 1)


def _shape(variable: Any) -> tuple[int, ...]:
  return variable.aval.shape
