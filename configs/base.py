"""The default of every setting; `memjax/config/sections.py` explains them."""

from ml_collections import ConfigDict

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


def base() -> ConfigDict:
  """All defaults. A config adds its model, its task and its steps."""
  return ConfigDict(
    {
      'seed': 0,
      'model': {},
      'task': {},
      'train': {
        'steps': 1000,
        'batch_size': 32,
        'steps_per_call': 1,
        'segment_length': 0,  # time steps; 0: the task's length
        'bptt_segments': 1,
        'grad_accum_steps': 1,
        'remat': 'none',  # or full, dots: layers computed again, for memory
        'dtype': 'float32',  # or bfloat16
        'patience': 0,  # evaluations without a new best; 0: no early stopping
        'stop_when': '',  # 'held_out/accuracy >= 0.99': ends when it holds
        'replicas': 1,  # number of seeds trained in one program
        'init_from': '',  # a workdir; its parameters are the initial ones
        'nonfinite': 'raise',  # or skip, rollback: of a step that is not finite
        'limits': {**LIMITS},  # seconds of a phase without progress; 0: none
      },
      'optim': {
        'name': 'adamw',  # a path in optax, contrib.muon, or your own
        'options': {},
        'learning_rate': 1e-3,
        'schedule': 'cosine',  # constant, linear, inverse_sqrt, halving, a path
        'schedule_options': {},  # {'halve_every': 1000} of halving
        'warmup_steps': 0,
        'final_lr_ratio': 0.1,  # final / peak rate, for linear and cosine
        'weight_decay': 0.0,
        'clip_norm': 1.0,  # largest norm of the gradient; 0: no clipping
        'groups': {},  # {'name': {'match': 'encoder/', 'frozen': True}}
        'ema': 0.0,  # decay of the parameters' moving average; 0: none
        'per_replica': '',  # 'learning_rate=1e-4,1e-3': one value per replica
      },
      'evals': {},
      'checkpoint': {'every': 500, 'keep': 2, 'best': '', 'best_is': 'min'},
      'parallel': {**PARALLEL},
      'log': {**LOG},
    }
  )
