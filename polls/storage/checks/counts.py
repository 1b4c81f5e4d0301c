"""Check that the stored counts equal the ballots, if these are few enough to be counted at once."""

import psycopg2

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, fault, note, ok
from polls.storage.postgres.connect import Connection, query
from polls.storage.recount import recount

_MAX_BALLOTS = 1_000_000  # a second or so
_MAX_FAULTS = 10


def check_counts(connection: Connection, _: Postgres) -> CheckResults:
    """Check that the counts of every poll equal its ballots: else votes may be refused, and results are wrong."""
    try:
        ((ballots,),) = query(connection, "SELECT coalesce(sum(ballots), 0) FROM question")
        if ballots > _MAX_BALLOTS:
            yield note("not checked, since it takes a while. `polls verify` recounts every poll from its ballots")
            return
        recounts = list(recount(connection))
    except psycopg2.ProgrammingError:  # a missing table or privilege, which is reported already
        yield note("not checked. `polls verify` recounts every poll from its ballots")
        return
    wrong = [result for result in recounts if not result.is_exact]
    for result in wrong[:_MAX_FAULTS]:
        yield fault(f"{result}. Set them from the ballots: `polls verify --repair --poll {result.question_id}`")
    if len(wrong) > _MAX_FAULTS:
        yield fault(f"{len(wrong) - _MAX_FAULTS} more polls are counted wrongly. Run `polls verify --repair`")
    if not wrong:
        yield ok("every poll's counts equal its ballots, as `polls verify` counts them")
    for result in [result for result in recounts if result.invalid and result.is_exact][:_MAX_FAULTS]:
        yield note(f"{result}. polls never stores such ballots: find out what else writes to the database")
