"""The section `parallel` of a config: devices, and the processes of a run."""

import dataclasses

from memjax.errors import require, require_at_least_one

DETERMINISM = ('fixed', 'elastic')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallel:
  """The mesh of devices, and the hosts if they cannot be detected.

  Attributes:
    data: number of devices that share only the batch; 0: all devices.
    fsdp: number of devices that share the parameters as well.
    tensor: number of devices that share the units of each layer, and read the
      same rows.
    cpu_devices: number of devices that the CPU counts as; 0: one.
    coordinator: address:port of host 0; empty: detected, or one host.
    processes: number of hosts, if a coordinator is given.
    process: the number of this host, if a coordinator is given.
    timeout: seconds after which a process that is silent, stuck or not there
      ends the run.
    determinism: fixed: the same bits on the same number of devices, equal up to
      round-off on another one. elastic: the same bits on 1, 2, 4 and 8 devices
      of one or several processes, at a price; see docs/devices.md.
  """

  data: int
  fsdp: int
  tensor: int
  cpu_devices: int
  coordinator: str
  processes: int
  process: int
  timeout: float
  determinism: str

  def __post_init__(self) -> None:
    require_at_least_one(self, 'fsdp', 'tensor', 'timeout')
    rule = f'must be one of {", ".join(DETERMINISM)}'
    known = self.determinism in DETERMINISM
    require(known, 'determinism', self.determinism, rule)
    host, _, port = self.coordinator.rpartition(':')
    given, count = bool(self.coordinator), self.processes
    rule = 'must be HOST:PORT'
    is_address = bool(host) and port.isdecimal()
    require(is_address or not given, 'coordinator', self.coordinator, rule)
    rule = 'needs parallel.coordinator, the HOST:PORT of process 0'
    require(given or not count, 'processes', count, rule)
    rule = f'must be below parallel.processes, {count}'
    require(self.process < max(count, 1), 'process', self.process, rule)
