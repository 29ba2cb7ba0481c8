"""Defaults of the sections that most configs leave alone."""

HOUR = 3600.0  # seconds
LIMITS = dict.fromkeys(('compile', 'restore', 'save', 'close'), 2 * HOUR)
LIMITS |= {'import': HOUR / 6, 'step': HOUR}
LIMITS |= {'data': 6 * HOUR, 'evaluation': 6 * HOUR}

PARALLEL = {
  'data': 0,  # devices that share the batch; 0: all
  'fsdp': 1,  # devices that share the parameters
  'tensor': 1,  # devices that share the units of layers
  'cpu_devices': 0,  # parts of the CPU that share the batch; 0: one
  'coordinator': '',
  'processes': 0,
  'process': 0,
  'determinism': 'fixed',  # or elastic: no bit depends on the devices
  'timeout': 60.0,  # seconds until a silent or stuck process ends the run
}
ADAPT = {
  'method': '',  # or lora, adalora: of the kernels that where finds
  'where': '',  # 'qkv|recur': a pattern over parameter paths
  'rank': 8,
  'alpha': 8.0,  # the change is alpha / rank times the factors
  'trainable': '',  # a pattern: trained themselves; empty: none, or all
  'target_rank': 4.0,  # of adalora, as all below: the mean rank at the end
  'start_steps': 0,
  'final_steps': 0,
  'allocate_every': 10,
  'orthogonality': 0.1,  # weight of the penalty
}
LOG = {
  'every': 50,
  'wandb': {
    'mode': 'auto',  # online with an API key, else offline; disabled
    'project': 'memjax',
    'name': '',
    'group': '',
    'tags': '',  # 'first,second'
  },
  'tensorboard': False,
  'prompt': '',
  'sample': 0,
}
