"""The tables for SQLAlchemy. The migrations in sql/ create them; a test compares the two. See sql/README.md."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData()

_RANDOM = "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())"
_MAGNITUDE = "CASE WHEN ballots < 16 THEN ballots ELSE floor(8 * ln(ballots::double precision) / ln(2)) - 16 END"
_DATE_RANGE = "{0} >= '0001-01-02 00:00:00+00' AND {0} < '9999-12-31 00:00:00+00'"

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
    sa.Column("edited_at", sa.DateTime(timezone=True)),
    sa.Column("magnitude", sa.SmallInteger, sa.Computed(_MAGNITUDE, persisted=True)),
    sa.PrimaryKeyConstraint("id", name="question_id_pkey"),
    sa.CheckConstraint("ballots >= 0", name="question_ballots_check"),
    sa.CheckConstraint("octet_length(voter_salt) BETWEEN 16 AND 64", name="question_voter_salt_check"),
    sa.CheckConstraint(_DATE_RANGE.format("pub_date"), name="question_pub_date_check"),
    sa.CheckConstraint(_DATE_RANGE.format("closes_at"), name="question_closes_at_check"),
)
sa.Index("question_pub_date_idx", question.c.pub_date.desc(), question.c.id.desc())
sa.Index("question_closes_at_idx", question.c.closes_at)
sa.Index("question_question_text_idx", question.c.question_text, question.c.id)
sa.Index("question_magnitude_idx", question.c.magnitude, question.c.pub_date, question.c.id)

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

question_words = sa.Table(
    "question_words",
    metadata,
    sa.Column("question_id", sa.Integer, nullable=False, autoincrement=False),
    sa.Column("words", postgresql.TSVECTOR, nullable=False),
    sa.PrimaryKeyConstraint("question_id", name="question_words_pkey"),
    sa.ForeignKeyConstraint(
        ["question_id"],
        ["question.id"],
        name="question_words_question_id_fkey",
        onupdate="CASCADE",
        ondelete="CASCADE",
    ),
    sa.Index("question_words_words_idx", "words", postgresql_using="gin"),
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), nullable=False),
    sa.Column("username", sa.String(150), nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    sa.Column("disabled_at", sa.DateTime(timezone=True)),
    sa.PrimaryKeyConstraint("id", name="account_pkey"),
    sa.UniqueConstraint("username", name="account_username_key"),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    sa.PrimaryKeyConstraint("token_hash", name="session_pkey"),
    sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="session_account_id_fkey", ondelete="CASCADE"),
    sa.Index("session_account_id_idx", "account_id"),
)

sign_in_failure = sa.Table(
    "sign_in_failure",
    metadata,
    sa.Column("who", sa.LargeBinary, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("who", name="sign_in_failure_pkey"),
    sa.Index("sign_in_failure_last_at_idx", "last_at"),
)

history = sa.Table(
    "history",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("deed", sa.Text, nullable=False),
    sa.Column("changes", postgresql.JSONB, server_default=sa.text("'[]'"), nullable=False),
    sa.Column("edition", sa.BigInteger),
    sa.PrimaryKeyConstraint("id", name="history_pkey"),
    sa.Index("history_subject_idx", "subject", "id"),
)
