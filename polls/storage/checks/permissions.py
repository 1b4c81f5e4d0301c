"""Check of the role's privileges on our tables and schema."""

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, fault, ok
from polls.storage.postgres.connect import Connection, query
from polls.storage.tables import account, history, metadata

_NEEDED_PRIVILEGES = {
    **dict.fromkeys(metadata.tables, ("SELECT", "INSERT", "UPDATE", "DELETE")),
    account.name: ("SELECT", "INSERT", "UPDATE"),
    history.name: ("SELECT", "INSERT"),
    "migration": ("SELECT",),
}

_ROLE_AND_SCHEMA = """
    SELECT
        quote_ident(current_user),
        quote_ident(current_schema()),
        has_schema_privilege(current_schema(), 'CREATE')
"""

_MISSING_PRIVILEGES = """
    SELECT needed.name, string_agg(needed.privilege, ', ' ORDER BY needed.position)
    FROM unnest(%s, %s) WITH ORDINALITY AS needed (name, privilege, position)
    WHERE NOT has_table_privilege(to_regclass(needed.name), needed.privilege)
    GROUP BY needed.name
    ORDER BY needed.name
"""

_TABLES_OF_OTHER_OWNERS = """
    SELECT needed.name
    FROM unnest(%s) AS needed (name)
    JOIN pg_class ON pg_class.oid = to_regclass(needed.name)
    WHERE NOT pg_has_role(pg_class.relowner, 'USAGE')
    ORDER BY needed.name
"""


def check_permissions(connection: Connection, postgres: Postgres) -> CheckResults:
    """Check that the role may use the schema, its tables and, if `postgres.migrate` is on, change them."""
    ((role, schema, may_create),) = query(connection, _ROLE_AND_SCHEMA)
    if schema is None:
        yield fault(f"{role} may use no schema. GRANT USAGE ON SCHEMA public TO {role}")
        return
    pairs = [(table, privilege) for table, privileges in _NEEDED_PRIVILEGES.items() for privilege in privileges]
    problems = [
        f"{role} may not {privileges} on {table}. GRANT {privileges} ON {schema}.{table} TO {role}"
        for table, privileges in query(connection, _MISSING_PRIVILEGES, *map(list, zip(*pairs, strict=True)))
    ]
    if postgres.migrate and not may_create:
        problems.append(
            f"{role} may not create tables, and postgres.migrate is on. "
            f"GRANT CREATE ON SCHEMA {schema} TO {role}, or set postgres.migrate to false"
        )
    tables_of_others = [table for (table,) in query(connection, _TABLES_OF_OTHER_OWNERS, list(_NEEDED_PRIVILEGES))]
    if postgres.migrate and tables_of_others:
        problems.append(
            f"{role} does not own {', '.join(tables_of_others)}, and postgres.migrate is on. "
            "Set it to false, and run `polls migrate` as the owner"
        )
    yield from map(fault, problems)
    if not problems:
        yield ok(f"{role} has all privileges that polls needs")
