"""The studies of causes: one setting changes; the tables are the results."""

import json
from pathlib import Path

from experiments.causes import run as causes
from memjax.config.config_file import FOLDER, load_config
from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.config.sections import flatten


def test_every_run_changes_what_it_says(tmp_path: Path) -> None:
  for name, study in causes.STUDIES.items():
    for run, (config, fields) in study.runs.items():
      words = causes.command(name, run, tmp_path)
      file, _, variant = config.partition(':')
      own = override(load_config(FOLDER / file, variant), words)
      experiment = read_experiment(own)
      assert experiment.train.replicas == causes.SEEDS * len(study.rates)
      found = flatten(own)
      assert {field: found[field] for field in fields} == dict(fields)
      for measure in study.measures:
        assert measure.partition('/')[0] in experiment.evals


def test_the_last_figures_count_by_rate(tmp_path: Path) -> None:
  rows = [
    {'step': step, 'split': split, 'metrics': {}, 'replicas': {'score': scores}}
    for step, split, scores in (
      (2000, 'seen', [0.0] * 9),
      (4000, 'seen', [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
      (4000, 'unseen', [0.5] * 9),
    )
  ]
  text = ''.join(f'{json.dumps(row)}\n' for row in rows)
  (tmp_path / 'metrics.jsonl').write_text(text)
  found = list(causes.lines('duplicate', 'lstm', tmp_path))
  assert [(x['learning_rate'], x['measure'], x['scores']) for x in found] == [
    ('0.0003', 'seen/score', '0.1 0.2 0.3'),
    ('0.0003', 'unseen/score', '0.5 0.5 0.5'),
    ('0.001', 'seen/score', '0.4 0.5 0.6'),
    ('0.001', 'unseen/score', '0.5 0.5 0.5'),
    ('0.003', 'seen/score', '0.7 0.8 0.9'),
    ('0.003', 'unseen/score', '0.5 0.5 0.5'),
  ]
  assert {x['rows'] for x in found} == {str(4000 * 64)}
  path = tmp_path / 'results.csv'
  newer = [x | {'scores': '0 0 1'} for x in found[:1]]
  causes.write([*found, *newer], path)
  assert causes.read(path) == [*newer, *found[1:]]
  assert list(causes.table(causes.read(path)))[2:] == [
    '| lstm | 0.0003 | 0 (0 to 1) | 0.5 (0.5 to 0.5) |',
    '| lstm | 0.001 | 0.5 (0.4 to 0.6) | 0.5 (0.5 to 0.5) |',
    '| lstm | 0.003 | 0.8 (0.7 to 0.9) | 0.5 (0.5 to 0.5) |',
  ]


def test_the_readme_has_the_tables_of_the_results() -> None:
  text = Path(causes.__file__).with_name('README.md').read_text()
  lines = [line for line in causes.table(causes.read()) if line.strip()]
  assert lines
  assert all(line.strip() in text for line in lines)
