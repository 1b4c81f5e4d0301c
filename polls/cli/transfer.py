"""The commands `export` and `import`: polls with their settings, without votes, as a YAML file."""

import sys
from pathlib import Path

from polls.cli import CommandFailed
from polls.cli.poll_file import as_yaml, load
from polls.cli.pool import with_database
from polls.config.settings import Config
from polls.config.yaml_file import InvalidFile
from polls.domain.errors import SlugTaken
from polls.domain.permissions import COMMAND_LINE
from polls.domain.poll import Poll
from polls.domain.poll_copy import copy_of
from polls.storage.postgres.pool import Database
from polls.storage.recount import count_of
from polls.storage.transfer import add_polls, read_polls, taken_slugs

_STANDARD_OUTPUT = Path("-")


def export_polls(config: Config, file: Path, *, overwrite: bool = False) -> None:
    """Write all polls to `file`, or to standard output if it is `-`. Raises CommandFailed."""
    polls = with_database(config, read_polls)
    text = as_yaml([copy_of(poll) for poll in polls])
    if file == _STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        with file.open("w" if overwrite else "x", encoding="utf-8") as output:
            output.write(text)
    except FileExistsError:
        raise CommandFailed(f"{file} exists; overwrite it with --force") from None
    except OSError as error:
        raise CommandFailed(f"can't write {file}: {error.strerror}") from None
    print(f"wrote {count_of(len(polls), 'poll')}, without votes, to {file}")


def import_polls(config: Config, file: Path) -> None:
    """Add the polls in `file`, or none of them. Raises InvalidFile, CommandFailed."""
    copies, found = load(file)
    slugs = {copy.custom_slug: number for number, copy in enumerate(copies, start=1) if copy.custom_slug}

    async def add(database: Database) -> list[Poll]:
        if taken := await taken_slugs(database, list(slugs)):
            keys = [("polls", str(slugs[slug]), "slug") for slug in taken]
            raise InvalidFile(file, *((found.line(key), f"{'.'.join(key)}: another poll has it") for key in keys))
        return await add_polls(database, COMMAND_LINE, copies)

    try:
        added = with_database(config, add)
    except SlugTaken:
        raise CommandFailed("a poll with one of the slugs was added meanwhile; nothing was imported") from None
    for poll in added:
        print(f"added /poll/{poll.question.slug}: {poll.question.text}")
    print(f"added {count_of(len(added), 'poll')}")
