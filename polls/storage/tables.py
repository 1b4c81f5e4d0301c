"""The tables, as SQLAlchemy sees them. The migrations in sql/ make them; a test holds the two together."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData()

_RANDOM = "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())"
_IN_THE_CALENDAR = "{0} >= '0001-01-02 00:00:00+00' AND {0} < '9999-12-31 00:00:00+00'"

question = sa.Table(
    "question",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), nullable=False),
    sa.Column("question_text", sa.String(200), nullable=False),
    sa.Column("pub_date", sa.DateTime(timezone=True), nullable=False),
    sa.Column("closes_at", sa.DateTime(timezone=True)),
    sa.Column("ballots", sa.BigInteger, server_default=sa.text("0"), nullable=False),
    sa.Column("revision", sa.BigInteger, server_default=sa.text("0"), nullable=False),
    sa.Column("edition", sa.BigInteger, server_default=sa.text("0"), nullable=False),
    sa.Column("voter_salt", sa.LargeBinary, server_default=sa.text(_RANDOM), nullable=False),
    sa.PrimaryKeyConstraint("id", name="question_id_pkey"),
    sa.CheckConstraint("ballots >= 0", name="question_ballots_check"),
    sa.CheckConstraint("octet_length(voter_salt) BETWEEN 16 AND 64", name="question_voter_salt_check"),
    sa.CheckConstraint(_IN_THE_CALENDAR.format("pub_date"), name="question_pub_date_check"),
    sa.CheckConstraint(_IN_THE_CALENDAR.format("closes_at"), name="question_closes_at_check"),
)
sa.Index("question_pub_date_idx", question.c.pub_date.desc(), question.c.id.desc())

choice = sa.Table(
    "choice",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), nullable=False),
    sa.Column("question_id", sa.Integer, nullable=False),
    sa.Column("choice_text", sa.String(200), nullable=False),
    sa.Column("votes", sa.BigInteger, server_default=sa.text("0"), nullable=False),
    sa.Column("position", sa.Integer, server_default=sa.text("0"), nullable=False),
    sa.PrimaryKeyConstraint("id", name="choice_id_pkey"),
    sa.ForeignKeyConstraint(["question_id"], ["question.id"], name="choice_question_id_fkey", ondelete="CASCADE"),
    sa.CheckConstraint("votes >= 0", name="choice_votes_check"),
    sa.Index("choice_question_id_idx", "question_id"),
)

ballot = sa.Table(
    "ballot",
    metadata,
    sa.Column("question_id", sa.Integer, nullable=False),
    sa.Column("voter", sa.LargeBinary, nullable=False),
    sa.Column("marks", postgresql.ARRAY(sa.Integer), nullable=False),
    sa.Column("cast_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    sa.PrimaryKeyConstraint("question_id", "voter", name="ballot_pkey"),
    sa.ForeignKeyConstraint(["question_id"], ["question.id"], name="ballot_question_id_fkey", ondelete="CASCADE"),
)
