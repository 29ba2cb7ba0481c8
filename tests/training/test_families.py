"""Every config is an experiment, and every family of them trains."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from memjax.config.build import build_model, build_task
from memjax.config.reader import read_experiment
from memjax.tasks.base import GeneratedTask
from tests.small import run
from tests.variants import covering, kind

CONFIGS = Path(__file__).parents[2] / 'configs'


def families() -> dict[str, ModuleType]:
  """Every config that compares models."""
  modules = {
    path.stem: importlib.import_module(f'configs.{path.stem}')
    for path in sorted(CONFIGS.glob('*.py'))
  }
  return {
    name: module
    for name, module in modules.items()
    if hasattr(module, 'get_config')
  }


FAMILIES = families()
FAST = ('adding', 'mqar', 'text')
# What is far back is not needed, or a paper gives the number of slots.
NEARBY = ('dynamic_ngrams.DynamicNGrams', 'series.Series')


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'family',
  [
    pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow])
    for name in FAMILIES
  ],
)
def test_a_family_trains(family: str) -> None:
  module = FAMILIES[family]
  config = module.get_config(f'{module.VARIANTS[0]},quick').unlock()
  config.parallel.data = 1
  state = run(read_experiment(config.to_dict()), 2)
  loss = state.sums.metrics['loss']
  assert np.isfinite(loss.sum)
  assert loss.count > 0


@pytest.mark.slow
@pytest.mark.parametrize('family', FAMILIES)
def test_a_block_of_a_transformer_holds_a_row_or_a_segment(family: str) -> None:
  module = FAMILIES[family]
  for variant in module.VARIANTS:
    if variant.rpartition('-')[2] != 'transformer':
      continue
    config = module.get_config(variant).to_dict()
    task = build_task(config['task'])
    if isinstance(task, GeneratedTask) and config['task']['name'] not in NEARBY:
      model = build_model(config['model'], task.input_spec, task.output_spec)
      length = config['train']['segment_length'] or task.length
      assert model.horizon >= length - 1, variant


@pytest.mark.fast_cases(12)
@pytest.mark.parametrize('family', FAMILIES)
def test_every_task_of_a_family_is_an_experiment(family: str) -> None:
  module = FAMILIES[family]
  one_of_each = {v.rpartition('-')[0]: v for v in module.VARIANTS}
  for variant in one_of_each.values():
    read_experiment(module.get_config(f'{variant},quick').to_dict())


@pytest.mark.fast_cases(12)
@pytest.mark.parametrize('family', FAMILIES)
def test_every_variant_is_a_config(family: str) -> None:
  module, tasks, kinds = FAMILIES[family], {}, {}
  some = covering(module.VARIANTS)
  for variant in module.VARIANTS:
    config = module.get_config(f'{variant},quick')
    assert config.is_locked
    tasks[variant] = config.task.name
    kinds[variant] = kind(config.model.to_dict())
  assert all(module.get_config(variant).is_locked for variant in some)
  assert {tasks[v] for v in some} == {*tasks.values()}
  assert {kinds[v] for v in some} == {*kinds.values()}
