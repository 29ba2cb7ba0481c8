"""A sweep to its end or to Ctrl-C, a line for what happens to each trial."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import signal
import threading

from optuna.trial import TrialState

from memjax.sweep import trial
from memjax.sweep.file import Sweep
from memjax.sweep.study import Claim, Outcome, Study
from memjax.sweep.table import described, ranked
from memjax.training.console import number

WAIT = 1.0  # seconds between looks at trials that run elsewhere


def work(sweep: Sweep, study: Study, workers: int) -> bool:
  """Runs trials, so many at a time, until all are finished, by whomever.

  Returns:
    Whether they are; False after SIGTERM or Ctrl-C, what ran saved.
  """
  stop = threading.Event()
  with stopping(stop), ThreadPoolExecutor(workers) as pool:
    futures = [pool.submit(_worker, sweep, study, stop) for _ in range(workers)]
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


def _worker(sweep: Sweep, study: Study, stop: threading.Event) -> None:
  said: list[int] = []
  try:
    while not stop.is_set():
      if claim := study.take():
        with claim.lock:
          attempt(sweep, study, claim, stop)
      elif all(t.state.is_finished() for t in study.trials()):
        return
      else:
        elsewhere = study.elsewhere()
        if elsewhere and elsewhere != said:
          numbers = ', '.join(map(str, elsewhere))
          say(f'waits for what runs elsewhere: trial {numbers}')
        said = elsewhere
        stop.wait(WAIT)
  except BaseException:
    stop.set()  # of the others
    raise


def attempt(
  sweep: Sweep, study: Study, claim: Claim, stop: threading.Event
) -> None:
  """Runs one trial and says so before and after."""
  again = (claim.workdir / 'metrics.jsonl').exists()
  begins = f'trial {claim.number}{" goes on" if again else ""}'
  say(f'{begins}: {described(sweep, claim.values)}')
  outcome = trial.run(sweep, claim, stop)
  if outcome.state != TrialState.RUNNING:
    study.tell(claim, outcome)
  say(f'trial {claim.number} {_ended(sweep, outcome)}{_standing(sweep, study)}')


def _ended(sweep: Sweep, outcome: Outcome) -> str:
  if outcome.state == TrialState.FAIL:
    return f'failed, {outcome.reason}'
  if outcome.state == TrialState.RUNNING:
    return 'stopped and saved'
  how = 'given up' if outcome.state == TrialState.PRUNED else 'done'
  return f'{how}: {sweep.metric} {number(outcome.value)} at step {outcome.step}'


def _standing(sweep: Sweep, study: Study) -> str:
  trials = ranked(sweep, study.trials())
  left = sweep.trials - sum(t.state.is_finished() for t in trials)
  best = trials[0]
  if best.value is None or best.state != TrialState.COMPLETE:
    return f'; {left} left'
  return f'; best {number(best.value)}, trial {best.number}; {left} left'


def say(line: str) -> None:
  print(line, flush=True)
