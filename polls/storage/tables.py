"""The tables, as SQLAlchemy sees them. The migrations in sql/ make them; a test holds the two together."""

import sqlalchemy as sa

metadata = sa.MetaData()

question = sa.Table(
    "question",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), nullable=False),
    sa.Column("question_text", sa.String(200), nullable=False),
    sa.Column("pub_date", sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("id", name="question_id_pkey"),
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
