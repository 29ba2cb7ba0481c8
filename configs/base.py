"""The default of every setting; `memjax/config/sections.py` explains them."""

from ml_collections import ConfigDict

from memjax.configs.sections import ADAPT, LIMITS, LOG, PARALLEL


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
        'row_clip_norm': 0.0,  # of each row's gradient, for DP-SGD; 0: none
        'row_noise': 0.0,  # times row_clip_norm: noise of DP-SGD
        'clip_norm': 1.0,  # largest norm of the gradient; 0: no clipping
        'groups': {},  # {'name': {'match': 'encoder/', 'frozen': True}}
        'ema': 0.0,  # decay of the parameters' moving average; 0: none
        'per_replica': '',  # 'learning_rate=1e-4,1e-3': one value per replica
      },
      'adapt': {**ADAPT},
      'evals': {},
      'checkpoint': {'every': 500, 'keep': 2, 'best': '', 'best_is': 'min'},
      'parallel': {**PARALLEL},
      'log': {**LOG},
    }
  )
