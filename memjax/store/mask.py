"""Personal data in text, replaced by pseudonyms before it is written.

    'Write to bob@example.org'  ->  'Write to <email_qjzkmvtwhx>'

The pseudonym is a keyed hash, HMAC-SHA256(key, kind || value). The same person
has the same pseudonym in every text, so that a memory of who said what remains.
Nobody without the key can try values. Kinds are found by their form, and by
their check digits where they have some:

    email, ip                 form
    phone                     the numbering plans of `phonenumbers`
    card                      13 to 19 digits with Luhn's check digit
    iban                      country, length and check digits
    id                        identity numbers of some countries, by their
                              check digits: `python-stdnum`

Names of people and places are not found. Numbers of nine digits without a
check digit are not taken for identity numbers.
"""

from collections.abc import Callable, Iterator
import functools
import hashlib
import hmac
import importlib.util
import ipaddress
import re
from typing import Any, NamedTuple

from memjax.errors import nearest, require

KINDS = ('email', 'iban', 'card', 'ip', 'id', 'phone')  # the first one wins
LETTERS = 'bcdfghjklmnpqrstvwxz'  # no word, no number, no kind in itself
LENGTH = 12  # letters: 20^12 pseudonyms of a kind
EMAIL = re.compile(
  r"(?<![\w.+-])[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*"
  r'@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,}(?![\w-])'
)
IBAN = re.compile(r'(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)')
CARD = re.compile(r'(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])')
IP = re.compile(
  r'(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|'
  r'[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3})(?![\w:]|\.\d)'
)
ID = re.compile(r'(?<![\w.-])[A-Z0-9](?:[ .-]?[A-Z0-9]){8,17}(?![\w-])')


class Span(NamedTuple):
  """A place in a text.

  Attributes:
    start: of its first character.
    end: after its last.
    kind: of `KINDS`.
    value: in the form that all writings of it share.
  """

  start: int
  end: int
  kind: str
  value: str


class Mask:
  """Replaces personal data by pseudonyms; idempotent."""

  def __init__(
    self, key: bytes, kinds: tuple[str, ...] = KINDS, region: str = 'US'
  ):
    """A mask.

    Args:
      key: of the pseudonyms; `Keyring.secret(OF_MASKS)` for a store.
      kinds: those of `KINDS` to replace.
      region: country of phone numbers without a country code.

    Raises:
      ConfigError: a kind is unknown, or a package is missing.
    """
    for kind in kinds:
      known = kind in KINDS
      require(known, 'store.mask', kind, f'unknown; {nearest(kind, KINDS)}')
    for package in ('phonenumbers', 'stdnum'):
      rule = "needs a package: pip install 'memjax[store]'"
      found = importlib.util.find_spec(package) is not None
      require(found, 'store.mask', package, rule)
    self._key, self._region = key, region
    self._kinds = tuple(kind for kind in KINDS if kind in kinds)

  def __call__(self, text: str) -> str:
    """The text with pseudonyms."""
    parts, at = [], 0
    for span in self.spans(text):
      parts += [text[at : span.start], self.pseudonym(span.kind, span.value)]
      at = span.end
    return ''.join([*parts, text[at:]])

  def pseudonym(self, kind: str, value: str) -> str:
    """What replaces a value."""
    said = f'{kind}\0{value}'.encode(errors='surrogateescape')
    number = int.from_bytes(hmac.digest(self._key, said, hashlib.sha256), 'big')
    letters = ''
    for _ in range(LENGTH):
      number, letter = divmod(number, len(LETTERS))
      letters += LETTERS[letter]
    return f'<{kind}_{letters}>'

  def spans(self, text: str) -> list[Span]:
    """Personal data of a text, in the order of the text; none overlap."""
    taken: list[tuple[int, int]] = []
    found: list[Span] = []
    for kind in self._kinds:
      for span in self._of_kind(kind, text):
        if all(span.end <= a or b <= span.start for a, b in taken):
          taken.append((span.start, span.end))
          found.append(span)
    return sorted(found)

  def _of_kind(self, kind: str, text: str) -> Iterator[Span]:
    if kind == 'phone':
      yield from phones(text, self._region)
      return
    pattern, normal_form = FORMS[kind]
    for match in pattern.finditer(text):
      whole = match.group()
      for length in range(len(whole), 0, -1):  # an IBAN before a word
        if length < len(whole) and (kind != 'iban' or whole[length] != ' '):
          continue
        value = normal_form(whole[:length])
        if value is not None:
          yield Span(match.start(), match.start() + length, kind, value)
          break


def phones(text: str, region: str) -> Iterator[Span]:
  """Phone numbers that exist in a numbering plan."""
  import phonenumbers

  form = phonenumbers.PhoneNumberFormat.E164
  for match in phonenumbers.PhoneNumberMatcher(text, region):
    value = phonenumbers.format_number(match.number, form)
    yield Span(match.start, match.end, 'phone', value)


def email(text: str) -> str | None:
  return text.lower()


def iban(text: str) -> str | None:
  from stdnum import iban

  return iban.compact(text) if iban.is_valid(text) else None


def card(text: str) -> str | None:
  from stdnum import luhn

  digits = re.sub('[ -]', '', text)
  return digits if luhn.is_valid(digits) and len({*digits}) > 1 else None


def ip(text: str) -> str | None:
  if not any(map(str.isdigit, text)):  # a::b is a name in C++
    return None
  try:
    return str(ipaddress.ip_address(text))
  except ValueError:
    return None


@functools.cache
def identity_numbers() -> tuple[Any, ...]:
  """Modules of identity numbers with check digits strong enough alone."""
  from stdnum.be import nn
  from stdnum.br import cpf
  from stdnum.cn import ric
  from stdnum.de import idnr
  from stdnum.es import dni
  from stdnum.fr import nir
  from stdnum.it import codicefiscale
  from stdnum.pl import pesel
  from stdnum.us import ssn

  return ric, codicefiscale, nir, idnr, pesel, nn, cpf, dni, ssn


def identity(text: str) -> str | None:
  for numbers in identity_numbers():
    if numbers.__name__.endswith('ssn') and text.count('-') != 2:
      continue  # it has no check digit: only its own way of writing counts
    if numbers.is_valid(text):
      return f'{numbers.__name__.split(".")[1]} {numbers.compact(text)}'
  return None


Form = tuple[re.Pattern[str], Callable[[str], str | None]]
FORMS: dict[str, Form] = {
  'email': (EMAIL, email),
  'iban': (IBAN, iban),
  'card': (CARD, card),
  'ip': (IP, ip),
  'id': (ID, identity),
}
