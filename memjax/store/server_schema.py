"""Tables on a PostgreSQL server, and who may see which rows of them."""

import re
from typing import Any

from memjax.errors import require
from memjax.store.grants import Grant

SCHEMA = """
CREATE TABLE IF NOT EXISTS spaces(
  id serial PRIMARY KEY, name text UNIQUE, "end" bigint, epoch bigint,
  width integer);
CREATE TABLE IF NOT EXISTS records(
  space integer REFERENCES spaces, seq bigint, at double precision,
  expires double precision, tags text, key {key}, payload bytea,
  PRIMARY KEY(space, seq));
CREATE TABLE IF NOT EXISTS reads(
  space integer REFERENCES spaces, seq bigint, count bigint,
  PRIMARY KEY(space, seq));
CREATE TABLE IF NOT EXISTS named(name text PRIMARY KEY, content bytea);
CREATE TABLE IF NOT EXISTS notes(
  number bigint PRIMARY KEY, content bytea, tag bytea);
CREATE TABLE IF NOT EXISTS grants(
  role text, spaces text, action text, until double precision);
CREATE OR REPLACE FUNCTION allowed(space text, wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema} AS $$
  SELECT EXISTS(SELECT FROM grants WHERE role = session_user
    AND space LIKE spaces AND (wanted = '' OR action = wanted)
    AND (until = 0 OR until > extract(epoch FROM clock_timestamp())))
$$;
CREATE OR REPLACE FUNCTION name_of(number integer) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema} AS $$
  SELECT name FROM spaces WHERE id = number
$$;
"""
POLICIES = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS reading ON {table};
DROP POLICY IF EXISTS adding ON {table};
DROP POLICY IF EXISTS changing ON {table};
DROP POLICY IF EXISTS removing ON {table};
CREATE POLICY reading ON {table} FOR SELECT USING ({seen});
CREATE POLICY adding ON {table} FOR INSERT
  WITH CHECK (allowed({name}, '{added}'));
CREATE POLICY changing ON {table} FOR UPDATE USING (allowed({name}, ''));
CREATE POLICY removing ON {table} FOR DELETE
  USING (allowed({name}, 'forget') OR allowed({name}, 'admin'));
"""
OF_ROW = 'name_of(space)'
READ = f"allowed({OF_ROW}, 'read') OR allowed({OF_ROW}, 'forget')"
# table: the name of a row's space, who sees a row, what adds one.
SECURED = {
  'spaces': ('name', "allowed(name, '')", 'write'),
  'records': (OF_ROW, READ, 'write'),
  'reads': (OF_ROW, f"allowed({OF_ROW}, '')", ''),
}
PRODUCT = 'SELECT {0} FROM unnest(key, %s::real[]) AS t(a, b)'
COSINE = (
  '1 - sum(a::float8 * b) / sqrt(sum(a::float8 * a) * sum(b::float8 * b))'
)
DISTANCES = {
  ('real[]', 'cosine'): f'({PRODUCT.format(COSINE)})',
  ('real[]', 'l2'): f'({PRODUCT.format("sqrt(sum((a::float8 - b) ^ 2))")})',
  ('vector', 'cosine'): '(key <=> %s::real[]::vector)',
  ('vector', 'l2'): '(key <-> %s::real[]::vector)',
}
KEY_TYPE = (
  'SELECT format_type(atttypid, -1) FROM pg_attribute '
  "WHERE attrelid = to_regclass('records') AND attname = 'key'"
)


def create(connection: Any, searches: bool) -> str:
  """Creates the tables; returns the type of keys.

  Args:
    connection: of the owner to be.
    searches: whether the server searches; else it has sealed bytes.
  """
  key, run = 'bytea', connection.execute
  if searches:
    installed = run("SELECT 1 FROM pg_extension WHERE extname = 'vector'")
    key = 'vector' if installed.fetchone() else 'real[]'
  schema = run('SELECT quote_ident(current_schema())').fetchone()[0]
  run(SCHEMA.replace('{key}', key).replace('{schema}', schema))
  for table, (name, seen, added) in SECURED.items():
    terms = {'table': table, 'name': name, 'seen': seen, 'added': added}
    run(POLICIES.format(**terms))
  return key


def allow(connection: Any, role: str, granted: Grant) -> None:
  """Gives a role what a grant says.

  Raises:
    ConfigError: the pattern has parts other than * and ?, or the role's name
      other letters than those of a word.
  """
  rule = 'on a server, a pattern may have * and ? only'
  require(not {*'[]'} & {*granted.spaces}, 'store.grant', granted.spaces, rule)
  known = re.fullmatch(r'\w+', role) is not None
  require(known, 'store.role', role, 'must be letters, digits and _')
  pattern = re.sub(r'([\\%_])', r'\\\1', granted.spaces)
  pattern = pattern.replace('*', '%').replace('?', '_')
  for action in sorted(granted.actions):
    row = role, pattern, action, granted.until
    connection.execute('INSERT INTO grants VALUES(%s, %s, %s, %s)', row)
  for rights, what in (
    ('SELECT, INSERT, UPDATE, DELETE', 'spaces, records, reads'),
    ('SELECT, INSERT, UPDATE', 'named'),
    ('INSERT', 'notes'),
    ('USAGE', 'SEQUENCE spaces_id_seq'),
  ):
    connection.execute(f'GRANT {rights} ON {what} TO {role}')
