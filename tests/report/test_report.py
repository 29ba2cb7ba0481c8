"""The page of several runs, as a browser shows it, and what it says of them."""

import os
from pathlib import Path
import re
import shutil
from typing import Any

import pytest

from memjax import modes
from memjax.data.corpus import open_corpus
from memjax.errors import ConfigError
from memjax.logs import metrics_file
from memjax.logs.console import number
from memjax.report import write
from memjax.report.page import Section
from memjax.report.runs import gather, names
from memjax.training.loop import train
from tests.report.browser import WIDTHS, Look, look
from tests.small import small

SHORT: dict[str, Any] = {'train.steps': 4, 'parallel.data': 1}


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """Two seeds of recall, and a text that is no longer here."""
  folder = tmp_path_factory.mktemp('runs')
  corpus = folder / 'corpus.txt'
  corpus.write_text('<b> a line & another\n' * 100)
  text = {'task.corpus': 'files', 'task.path': str(corpus), 'log.prompt': '<b>'}
  for name, experiment in (
    ('recall', small('mqar', 'lstm', SHORT | {'train.replicas': 2})),
    ('text', small('text', 'lstm', SHORT | text)),
  ):
    assert train(experiment, folder / name, lambda *run: None)
  corpus.unlink()
  shutil.rmtree(os.environ['MEMJAX_CACHE'])
  open_corpus.cache_clear()
  return folder


@pytest.fixture(scope='module')
def page(runs: Path) -> Path:
  assert modes.report(Path(f'{runs}/recall,{runs}/text')) == 0
  return runs / 'report.html'


@pytest.fixture(scope='module')
def looks(page: Path) -> list[Look]:
  return look(page)


SECTIONS = (
  'What was trained',
  'Learning',
  'Evaluation',
  'A sample',
  'By distance or length',
  'By context',
  'Without its memory',
  'Told from the carry',
  'Gradients',
  'Attention',
  'Gates',
  'What it costs',
)
PICTURES = (
  'loss against training step; at the end recall ',
  'accuracy, share of labels against distance; at the end recall ',
  'loss against inputs read; at the end recall ',
  'accuracy, share of labels against steps back; at the end recall ',
  'gradient norm against lag; at the end recall ',
  'reading, tokens per second against steps of a segment; at the end recall ',
)


def test_a_browser_shows_every_picture_and_has_no_complaint(
  looks: list[Look],
) -> None:
  assert [one.width for one in looks] == list(WIDTHS)
  for one in looks:
    assert one.console == []
    assert one.title == 'recall · text'
    assert one.needed <= one.width, 'slides sideways'
    assert len(one.pictures) == len(PICTURES)
    for picture, words in zip(one.pictures, PICTURES, strict=True):
      assert words in picture.alt
      assert picture.natural > 500
      assert 0.7 * min(one.width, 900) < picture.shown <= one.width


def test_every_section_is_there_and_can_be_gone_to(
  page: Path, looks: list[Look]
) -> None:
  source = page.read_text()
  places = re.findall('<section id="(.*?)">', source)
  assert re.findall('<a href="#(.*?)">', source) == places
  for one in looks:
    titles = [t for t in SECTIONS if f'\n{t}\n' in one.text]
    assert titles == list(SECTIONS)
  assert re.findall('(?:src|href)="(?!#|data:)', source) == []
  assert '<script' not in source


def test_figures_are_those_of_the_rows_and_stand_by_baselines(
  runs: Path, looks: list[Look]
) -> None:
  rows = metrics_file.read(runs / 'recall/metrics.jsonl')
  (row,) = [r for r in rows if r['split'] == 'twice' and r['step'] == 4]
  low, high = map(number, row['quartiles']['accuracy'])
  figure = f'{number(row["metrics"]["accuracy"])} ({low} to {high})'
  text = looks[-1].text.replace('\N{NO-BREAK SPACE}', ' ')
  assert re.search(rf'accuracy\t{re.escape(figure)}\t—\tany value 0\.0', text)
  assert 'recall: twice at step 4: segment ' in text
  assert re.search(r'seeds\t0 to 1\t0\n', text)
  assert re.search(r'state of a row\t128 bytes\t128 bytes', text)
  assert re.search(r'task\.name\tmqar\.MQAR\ttext\.Text', text)


def test_what_is_not_defined_for_a_run_is_a_line(looks: list[Look]) -> None:
  text = looks[-1].text
  assert "recall: model 'Stack' shows no attention to its own past" in text
  assert len(re.findall(r'^text: task\.path .*corpus\.txt', text, re.M)) == 8
  assert 'not measured' not in text
  assert 'failed' not in text


def test_an_instrument_shows_its_figures_and_its_definition(
  looks: list[Look],
) -> None:
  text = looks[-1].text.replace('\N{NO-BREAK SPACE}', ' ')
  figure = r'\d[\d.e+-]*( \(\S+ to \S+\))?'
  for row in (
    f'10% hardest labels\t{figure}',
    rf'0/c_BD(\t-?{figure}){{3}}',
    'bits of state\t1,024',
    f'carry 0/h_BD\t({figure}|inf)',
    rf'layer_0/memory/.*, 50% of units below\t{figure}',
    r'train, 64 steps\t\d+\.\d\d MB',
  ):
    assert re.search(f'^{row}$', text, re.M), row
  assert 'RECL of model i is where it stops' in text
  assert '\n    b(c, t)     = min_i l_i(c, t)  ' in looks[-1].text
  assert 'Time constants: a unit that keeps the share f' in text


def test_a_sample_is_shown_as_it_was_written(looks: list[Look]) -> None:
  assert re.search(r'A sample\n.*\ntext\n+<b>.{100}', looks[-1].text, re.S)


def test_a_section_that_fails_is_a_line_and_the_others_are_there(
  runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
  def broken(subjects: Any) -> Section:
    raise ZeroDivisionError('by nothing\nat all')

  sections = (broken, write.SECTIONS[0], lambda subjects: None)
  monkeypatch.setattr(write, 'SECTIONS', sections)
  path = write.write([runs / 'text'])
  assert path == runs / 'text/report.html'
  source = path.read_text()
  assert '<li>failed: by nothing</li>' in source
  assert '<h2>What was trained</h2>' in source
  said = capsys.readouterr().out.splitlines()
  assert [re.sub(r' +[\d.]+ s$', '', line) for line in said] == [
    'test_report, broken',
    'What was trained',
  ]


def test_where_no_run_can_be_measured_an_instrument_says_so(
  runs: Path,
) -> None:
  alone = gather([runs / 'text'])
  for make in write.SECTIONS[4:]:
    section = make(alone)
    assert section is not None
    assert len(section.notes) == 1
    assert section.definition
    assert not section.pictures
    assert not section.tables


def test_what_is_broken_is_seen(tmp_path: Path) -> None:
  page = tmp_path / 'page.html'
  page.write_text(
    '<!doctype html><title>x</title><img alt="a"'
    ' src="data:image/svg+xml;base64,PHN2Zz4="><div style="width:700px">d</div>'
    '<script>console.error("wrong")</script><img src="gone.png">'
  )
  phone, desk = look(page)
  assert 'wrong' in phone.console[0]
  assert [picture.natural for picture in phone.pictures] == [0, 0]
  assert [picture.alt for picture in desk.pictures] == ['a', '']
  assert phone.needed > phone.width
  assert desk.needed <= desk.width


def test_a_page_may_ask_a_network_for_nothing(
  page: Path, tmp_path: Path
) -> None:
  asking = tmp_path / 'page.html'
  picture = '<img src="https://example.org/a.png">'
  asking.write_text(page.read_text().replace('</body>', picture + '</body>'))
  console = look(asking)[0].console
  assert 'Content Security Policy' in console[0]


def test_names_are_the_shortest_that_differ(tmp_path: Path) -> None:
  a, b, c = (tmp_path / name for name in ('x/lstm', 'y/lstm', 'y/gru'))
  assert names([a]) == ['lstm']
  assert names([a, c]) == ['lstm', 'gru']
  assert names([a, b, c]) == ['x/lstm', 'y/lstm', 'y/gru']
  with pytest.raises(ConfigError, match='named twice'):
    names([a, b, tmp_path / 'y/../x/lstm'])
