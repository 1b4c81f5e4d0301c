"""The tables for SQLAlchemy: their columns. The migrations in sql/ create them with all else. See sql/README.md."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData()

_TIMESTAMP = sa.DateTime(timezone=True)

question = sa.Table(
    "question",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("question_text", sa.String(200)),
    sa.Column("pub_date", _TIMESTAMP),
    sa.Column("closes_at", _TIMESTAMP),
    sa.Column("ballots", sa.BigInteger),
    sa.Column("revision", sa.BigInteger),
    sa.Column("edition", sa.BigInteger),
    sa.Column("voter_salt", sa.LargeBinary),
    sa.Column("edited_at", _TIMESTAMP),
    sa.Column("magnitude", sa.SmallInteger),
    sa.Column("form_key", sa.LargeBinary),
    sa.Column("slug", sa.String(40)),
    sa.Column("is_listed", sa.Boolean),
    sa.Column("hidden_at", _TIMESTAMP),
)

choice = sa.Table(
    "choice",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("question_id", sa.ForeignKey("question.id")),
    sa.Column("choice_text", sa.String(200)),
    sa.Column("votes", sa.BigInteger),
    sa.Column("position", sa.Integer),
    sa.Column("points", sa.BigInteger),
)

poll_settings = sa.Table(
    "poll_settings",
    metadata,
    sa.Column("question_id", sa.ForeignKey("question.id"), primary_key=True),
    sa.Column("description", sa.String(2000)),
    sa.Column("method", sa.Text),
    sa.Column("fewest_marks", sa.SmallInteger),
    sa.Column("most_marks", sa.SmallInteger),
    sa.Column("most_points", sa.SmallInteger),
    sa.Column("budget", sa.SmallInteger),
    sa.Column("lowest_label", sa.String(40)),
    sa.Column("highest_label", sa.String(40)),
    sa.Column("owner_hash", sa.LargeBinary),
    sa.Column("asked_at", _TIMESTAMP),
    sa.Column("results", sa.Text),
    sa.Column("results_from", sa.Integer),
    sa.Column("is_sealed", sa.Boolean),
)

ballot = sa.Table(
    "ballot",
    metadata,
    sa.Column("question_id", sa.ForeignKey("question.id"), primary_key=True),
    sa.Column("voter", sa.LargeBinary, primary_key=True),
    sa.Column("marks", postgresql.ARRAY(sa.Integer)),
    sa.Column("cast_at", _TIMESTAMP),
    sa.Column("changed_at", _TIMESTAMP),
    sa.Column("points", postgresql.ARRAY(sa.SmallInteger)),
)

question_words = sa.Table(
    "question_words",
    metadata,
    sa.Column("question_id", sa.ForeignKey("question.id"), primary_key=True),
    sa.Column("words", postgresql.TSVECTOR),
    sa.Column("folded", sa.Text),
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("username", sa.String(150)),
    sa.Column("password_hash", sa.Text),
    sa.Column("created_at", _TIMESTAMP),
    sa.Column("disabled_at", _TIMESTAMP),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id")),
    sa.Column("began_at", _TIMESTAMP),
    sa.Column("seen_at", _TIMESTAMP),
)

sign_in_failure = sa.Table(
    "sign_in_failure",
    metadata,
    sa.Column("who", sa.LargeBinary, primary_key=True),
    sa.Column("failures", sa.Integer),
    sa.Column("last_at", _TIMESTAMP),
)

history = sa.Table(
    "history",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("at", _TIMESTAMP),
    sa.Column("actor", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("deed", sa.Text),
    sa.Column("changes", postgresql.JSONB),
    sa.Column("edition", sa.BigInteger),
)
