"""A set is read in dispatches of one length, where it is small."""

import jax

from memjax.evaluation.totals import CALL, FEW, calls
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.program import program
from tests.small import compilations, small


def test_dispatches_read_each_step_once() -> None:
  for steps in range(1, 200):
    found = calls(steps)
    read = [
      start + i
      for starts, turns in found
      for start in starts
      for i in range(turns)
    ]
    assert read == list(range(steps))
    assert all(turns <= CALL for _, turns in found)
    assert len(found) == 1 or steps > FEW


def test_a_set_is_compiled_once() -> None:
  sizes = {'evals.held_out.steps': 10, 'evals.held_out.batch_size': 8}
  experiment = small('copy_memory', 'lstm', sizes)
  mesh = parallel.make_mesh(experiment.parallel)
  evaluated = program(experiment, mesh).initial_state().evaluated
  evaluator = Evaluator('held_out', experiment, mesh)
  with compilations() as compiled, jax.log_compiles():
    for step in (2, 4):
      evaluator.row(step, evaluated)
  assert compiled.count('jit(single)') == 1, compiled
