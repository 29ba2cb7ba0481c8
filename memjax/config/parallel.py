"""The section `parallel` of a config: devices, and the processes of a run."""

import dataclasses

from memjax.errors import require, require_at_least_one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallel:
  """The mesh of devices, and the hosts if they cannot be detected.

  Attributes:
    data: number of devices that share only the batch; 0: all devices.
    fsdp: number of devices that share the parameters as well.
    tensor: number of devices that share the units of each layer, and read the
      same rows.
    coordinator: address:port of host 0; empty: detected, or one host.
    processes: number of hosts, if a coordinator is given.
    process: the number of this host, if a coordinator is given.
    timeout: seconds after which a process that is silent, stuck or not there
      ends the run.
  """

  data: int
  fsdp: int
  tensor: int
  coordinator: str
  processes: int
  process: int
  timeout: float

  def __post_init__(self) -> None:
    require_at_least_one(self, 'fsdp', 'tensor', 'timeout')
    host, _, port = self.coordinator.rpartition(':')
    given, count = bool(self.coordinator), self.processes
    rule = 'must be HOST:PORT'
    is_address = bool(host) and port.isdecimal()
    require(is_address or not given, 'coordinator', self.coordinator, rule)
    rule = 'needs parallel.coordinator, the HOST:PORT of process 0'
    require(given or not count, 'processes', count, rule)
    rule = f'must be below parallel.processes, {count}'
    require(self.process < max(count, 1), 'process', self.process, rule)
