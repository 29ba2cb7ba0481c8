"""A sweep to its end or to Ctrl-C, a line for what happens to each trial."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import signal
import threading

from optuna.trial import TrialState

from memjax.logs.console import format_number
from memjax.sweep import trial
from memjax.sweep.file import Sweep
from memjax.sweep.study import Claim, Outcome, Study
from memjax.sweep.table import described, ranked

WAIT = 1.0  # seconds between looks at trials that run elsewhere


def work(sweep: Sweep, study: Study, workers: int) -> bool:
  """Runs trials, so many at a time, until all are finished, by whomever.

  Returns:
    Whether they are; False after SIGTERM or Ctrl-C, what ran saved.
  """
  stop, voice = threading.Event(), Voice()
  with stopping(stop), ThreadPoolExecutor(workers) as pool:
    futures = [
      pool.submit(_worker, sweep, study, stop, voice) for _ in range(workers)
    ]
    for future in futures:
      future.result()
  return not stop.is_set()


@contextlib.contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
  """Within it a first SIGTERM or Ctrl-C sets the event, a second one kills."""

  def receive(signum: int, frame: object) -> None:
    del frame
    stop.set()
    signal.signal(signum, signal.SIG_DFL)

  numbers = (signal.SIGTERM, signal.SIGINT)
  before = {number: signal.signal(number, receive) for number in numbers}
  try:
    yield
  finally:
    for signum, handler in before.items():
      signal.signal(signum, handler)


class Voice:
  """Says whole lines, whichever worker has them to say."""

  def __init__(self) -> None:
    self._lock = threading.Lock()
    self._said: set[str] = set()

  def say(self, line: str, once: bool = False) -> None:
    with self._lock:
      if not (once and line in self._said):
        print(line, flush=True)
      self._said.add(line)


def _worker(
  sweep: Sweep, study: Study, stop: threading.Event, voice: Voice
) -> None:
  try:
    while not stop.is_set():
      if claim := study.take():
        with claim.lock:
          attempt(sweep, study, claim, stop, voice)
      elif all(t.state.is_finished() for t in study.trials()):
        return
      else:
        if elsewhere := study.elsewhere():
          numbers = ', '.join(map(str, elsewhere))
          line = f'waits for what runs elsewhere: trial {numbers}'
          voice.say(line, once=True)
        stop.wait(WAIT)
  except BaseException:
    stop.set()  # of the others
    raise


def attempt(
  sweep: Sweep,
  study: Study,
  claim: Claim,
  stop: threading.Event,
  voice: Voice,
) -> None:
  """Runs one trial and says so before and after."""
  again = (claim.workdir / 'metrics.jsonl').exists()
  begins = f'trial {claim.number}{" goes on" if again else ""}'
  voice.say(f'{begins}: {described(sweep, claim.values)}')
  outcome = trial.run(sweep, claim, stop)
  if outcome.state != TrialState.RUNNING:
    study.tell(claim, outcome)
  ended, standing = _ended(sweep, outcome), _standing(sweep, study)
  voice.say(f'trial {claim.number} {ended}{standing}')


def _ended(sweep: Sweep, outcome: Outcome) -> str:
  if outcome.state == TrialState.FAIL:
    return f'failed, {outcome.reason}'
  if outcome.state == TrialState.RUNNING:
    return 'stopped and saved'
  how = 'given up' if outcome.state == TrialState.PRUNED else 'done'
  value = format_number(outcome.value)
  return f'{how}: {sweep.metric} {value} at step {outcome.step}'


def _standing(sweep: Sweep, study: Study) -> str:
  trials = ranked(sweep, study.trials())
  left = sweep.trials - sum(t.state.is_finished() for t in trials)
  best = trials[0]
  if best.value is None or best.state != TrialState.COMPLETE:
    return f'; {left} left'
  return f'; best {format_number(best.value)}, trial {best.number}; {left} left'
