"""XLA's flags for tests, in which compiling is most of the time.

The numbers are those of unoptimised programs: right, and slower to run.
"""

import importlib.metadata

# The first is known to jaxlib up to 0.11, the second from 0.11 on.
_OLD = importlib.metadata.version('jaxlib').startswith('0.10.')
_QUICK = (
  '--xla_cpu_use_fusion_emitters=false'
  if _OLD
  else '--xla_cpu_opt_preset=CPU_OPT_PRESET_FAST_COMPILE'
)


def xla_flags(devices: int) -> str:
  """So many virtual CPU devices, programs compiled in a hurry."""
  return (
    f'--xla_force_host_platform_device_count={devices} {_QUICK}'
    ' --xla_backend_optimization_level=0'
    ' --xla_cpu_parallel_codegen_split_count=1'
  )
