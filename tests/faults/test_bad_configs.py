"""A value that cannot be is one line, before anything is compiled."""

import pytest

from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.configs import copy_memory
from memjax.errors import ConfigError
from memjax.training import parallel
from memjax.training.program import program

# What is set, and how the line begins, or what it says.
BAD = """
train.batch_size=1000000000000000000 | needs 384 EB
train.replicas=1000000 | fewer train.replicas
train.replicas=0 | must be at least 1
train.replicas=5000000000 | not below 2^32
train.steps=1e20 | must be a whole number: 1000
train.steps=100000000000000000000 | must be below 2^63
train.steps=3000000000 | must be below 2^31
train.steps=0 | must be at least 1
train.steps_per_call=0 | must be at least 1
train.batch_size=0 | must be at least 1
train.grad_accum_steps=0 | must be at least 1
train.grad_accum_steps=3 | must divide
train.segment_length=5 | must divide
train.bptt_segments=7 | must divide
train.dtype=float64 | one of float32, bfloat16
train.remat=some | one of none, full, dots
train.nonfinite=panic | one of raise, skip, rollback
train.stop_when=loss | as in held_out/accuracy >= 0.99
train.stop_when=other/loss<1 | train.stop_when
train.limits.step=-1 | must not be negative
train.limits.foo=1 | no such field
seed=-1 | must not be negative
seed=4294967296 | below 2^32
optim.name=adm | did you mean adam
optim.learning_rate=nan | must be a finite number
optim.learning_rate=-1 | must not be negative
optim.learning_rate=fast | must be a number
optim.clip_norm=-1 | must not be negative
optim.clip_norm=inf | must be a finite number
optim.ema=2 | must be below 1
optim.schedule=zigzag | is not known
optim.warmup_steps=-5 | must not be negative
optim.per_replica=learning_rate=1,2 | one value for each of 1 replicas
optim.options.b2=5 | no such field
optim.name=adam optim.options.b2=5 | must be in [0, 1)
model.width=0 | must be at least 1
model.width=-3 | must not be negative
model.width=100000000000000000000 | must be below 2^63
model.depth=0 | must be at least 1
model.depth=100000 | must be at most 1000
model.dropout=1.5 | must be in [0, 1)
model.tie=yes | must be true or false
model.name=stack.Stak | did you mean
model.layer.name=../../x.Y | must be FILE.NAME
model.layer.name=.x.Y | must be FILE.NAME
model.layer.name=os.system | no such class there
model.layer.name=lstm | did you mean
task.name=../../x.Y | must be FILE.NAME
task.delay=0 | must be at least 1
task.delay=-1 | must not be negative
task.dlay=3 | did you mean delay
checkpoint.keep=0 | must be at least 1
checkpoint.every=0 | must be at least 1
checkpoint.best=nope/loss | must be one of held_out
checkpoint.best_is=most | must be one of min, max
log.every=0 | must be at least 1
log.sample=5 | no tokenizer
log.tensorboard=yes | must be true or false
log.wandb.mode=maybe | one of auto, online
parallel.data=64 | does not fit
parallel.fsdp=7 | must divide the devices
parallel.coordinator=nowhere | must be HOST:PORT
parallel.processes=2 | needs parallel.coordinator
parallel.process=5 | must be below parallel.processes
parallel.timeout=0 | must be at least 1
parallel.determinism=full | must be one of fixed
evals.held_out.every=0 | no evaluation set is measured
evals.held_out.batch_size=0 | must be at least 1
evals.held_out.batch_size=1000000000000000000 | needs 384 EB
evals.held_out.stps=2 | no such field
evals.twice.stps=2 | no such field
"""


# Lines that begin with another field, which the value contradicts.
ELSEWHERE = {
  'train.replicas=1000000': 'model: ',
  'evals.held_out.every=0': 'checkpoint.best: ',
  'evals.twice.stps=2': 'evals.twice: ',
}


def start(changes: str) -> None:
  """All that a run does before it compiles."""
  config = copy_memory.get_config('lstm,quick').to_dict()
  words = [f'--config.{change}' for change in changes.split()]
  experiment = read_experiment(override(config, words))
  program(experiment, parallel.make_mesh(experiment.parallel))


@pytest.mark.parametrize('line', BAD.strip().splitlines())
def test_it_is_refused_with_field_and_value(line: str) -> None:
  changes, words = line.split(' | ')
  with pytest.raises(ConfigError) as error:
    start(changes)
  said = str(error.value)
  assert '\n' not in said
  assert words in said
  field = changes.split()[-1].partition('=')[0]
  assert said.startswith(ELSEWHERE.get(changes, field))
