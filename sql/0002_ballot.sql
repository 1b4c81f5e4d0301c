-- A vote becomes a ballot: a row that belongs to a voter, one for each voter and poll. The numbers that pages show
-- (`choice.votes`, `question.ballots`) are counts of these rows, at every commit.

ALTER TABLE question
    ADD COLUMN closes_at  timestamptz,
    ADD COLUMN ballots    bigint NOT NULL DEFAULT 0,
    -- Rises with every change of anything; `edition` with text, choices and dates only.
    ADD COLUMN revision   bigint NOT NULL DEFAULT 0,
    ADD COLUMN edition    bigint NOT NULL DEFAULT 0,
    -- The key under which this poll's voters are stored. Without it, nobody can tell whose ballots they were.
    ADD COLUMN voter_salt bytea  NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    ADD CONSTRAINT question_ballots_check CHECK (ballots >= 0),
    ADD CONSTRAINT question_voter_salt_check CHECK (octet_length(voter_salt) BETWEEN 16 AND 64),
    -- Dates that calendars know: not infinity, and none before the year 1 or after the year 9999.
    ADD CONSTRAINT question_pub_date_check
    CHECK (pub_date >= '0001-01-02 00:00:00+00' AND pub_date < '9999-12-31 00:00:00+00'),
    ADD CONSTRAINT question_closes_at_check
    CHECK (closes_at >= '0001-01-02 00:00:00+00' AND closes_at < '9999-12-31 00:00:00+00');

-- `marks` are ids of choices, ascending.
CREATE TABLE ballot (
    question_id integer     NOT NULL,
    voter       bytea       NOT NULL,
    marks       integer[]   NOT NULL,
    cast_at     timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ballot_pkey PRIMARY KEY (question_id, voter),
    CONSTRAINT ballot_question_id_fkey FOREIGN KEY (question_id) REFERENCES question (id) ON DELETE CASCADE
);

-- Votes that were counted before there were ballots stay counted, as ballots of voters whom nobody knows any more.
INSERT INTO ballot (question_id, voter, marks)
SELECT choice.question_id, uuid_send(gen_random_uuid()), ARRAY[choice.id]
FROM choice
CROSS JOIN generate_series(1, choice.votes);

UPDATE question
SET ballots = cast_before.ballots
FROM (SELECT question_id, count(*) AS ballots FROM ballot GROUP BY question_id) AS cast_before
WHERE question.id = cast_before.question_id;

-- Whoever edits a poll, with whatever program, raises its edition: a ballot that was checked against an older one is
-- checked again. Counting is no edit, and fires none of these.

CREATE FUNCTION question_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.edition := OLD.edition + 1;
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END
$$;

CREATE TRIGGER question_edited
BEFORE UPDATE OF question_text, pub_date, closes_at, voter_salt ON question
FOR EACH ROW EXECUTE FUNCTION question_edited();

CREATE FUNCTION choice_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE question
    SET edition = edition + 1, revision = revision + 1
    WHERE id IN (OLD.question_id, NEW.question_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER choice_edited
AFTER INSERT OR DELETE OR UPDATE OF id, question_id, choice_text, position ON choice
FOR EACH ROW EXECUTE FUNCTION choice_edited();
