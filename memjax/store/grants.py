"""Who may do what in which space, and the signed token that says so."""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import json
from typing import NamedTuple

from memjax.errors import ConfigError, nearest, require
from memjax.store.records import canonical

ACTIONS = ('read', 'write', 'forget', 'admin')
FOREVER = 0.0
ALL = '*'


class Denied(ConfigError):
  """A grant does not cover a call.

  The message depends on the grant and on the call only, so that it tells
  nothing of what the space holds, nor whether it exists.
  """


class Grant(NamedTuple):
  """What a subject may do.

  Attributes:
    subject: who; the audit names it.
    spaces: pattern of the names of spaces, as of files: 'alice', 'team-*'.
    actions: of `ACTIONS`. 'admin' allows audit, verification and erasing.
    until: seconds since 1970 when it ends; 0: never.
  """

  subject: str
  spaces: str
  actions: frozenset[str]
  until: float = FOREVER

  def covers(self, space: str) -> bool:
    """Whether the pattern has this space."""
    return fnmatch.fnmatchcase(space, self.spaces)

  def check(self, action: str, space: str, now: float) -> None:
    """Lets a call through.

    Args:
      action: of `ACTIONS`.
      space: the space it is about; '*': all of them.
      now: seconds since 1970.

    Raises:
      Denied: the grant has ended, or covers another space or other actions.
    """
    if self.until and now >= self.until:
      raise Denied('store.grant', self.subject, 'has ended')
    whole = space != ALL or self.spaces == ALL
    if action not in self.actions or not whole or not self.covers(space):
      rule = f'{self.subject} has no grant to {action} it'
      raise Denied('store.space', space, rule)


def grant(
  subject: str, spaces: str, actions: str, until: float = FOREVER
) -> Grant:
  """A grant from words: grant('bob', 'team-*', 'read write').

  Raises:
    ConfigError: an action is unknown, or a word is missing.
  """
  words = actions.split()
  for word in words:
    known = word in ACTIONS
    require(known, 'store.grant', word, f'unknown; {nearest(word, ACTIONS)}')
  require(bool(subject), 'store.grant', subject, 'must name a subject')
  require(bool(spaces), 'store.grant', spaces, 'must name spaces')
  require(bool(words), 'store.grant', actions, 'must name an action')
  return Grant(subject, spaces, frozenset(words), until)


def sign(granted: Grant, secret: bytes) -> str:
  """The grant as a token, which nobody without the secret can write."""
  content = granted._asdict() | {'actions': sorted(granted.actions)}
  body = canonical(content)
  tag = hmac.new(secret, body, hashlib.sha256).digest()
  return '.'.join(base64.urlsafe_b64encode(p).decode() for p in (body, tag))


def read_token(token: str, secret: bytes) -> Grant:
  """The grant of a token.

  Raises:
    Denied: it was not signed with this secret.
  """
  try:
    body, tag = (
      base64.b64decode(part, b'-_', validate=True) for part in token.split('.')
    )
  except (ValueError, binascii.Error):
    raise Denied('store.grant', 'token', 'is not a signed grant') from None
  right = hmac.new(secret, body, hashlib.sha256).digest()
  if not hmac.compare_digest(tag, right):
    raise Denied('store.grant', 'token', 'is not a signed grant')
  content = json.loads(body)
  return Grant(**content | {'actions': frozenset(content['actions'])})
