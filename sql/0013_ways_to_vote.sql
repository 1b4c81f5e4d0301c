-- Ways to vote: several marks on a ballot, and points for each of them. The columns come first: they take the strongest
-- lock, and votes that wait for it must not stand between two weaker ones.

ALTER TABLE choice
    ADD COLUMN points bigint NOT NULL DEFAULT 0;

ALTER TABLE ballot
    ADD COLUMN points smallint[];

-- The settings of a poll; one without a row has the defaults. A table of its own: every vote writes the question's row
-- anew, and PostgreSQL evaluates all checks of a table for each row that is written.
CREATE TABLE poll_settings (
    question_id   integer       NOT NULL,
    description   varchar(2000) NOT NULL DEFAULT '',
    method        text          NOT NULL DEFAULT 'single',
    fewest_marks  smallint      NOT NULL DEFAULT 1,
    most_marks    smallint               DEFAULT 1,  -- null: as many as there are choices
    most_points   smallint,                          -- on one choice
    budget        smallint,                          -- points to spread
    lowest_label  varchar(40)   NOT NULL DEFAULT '', -- of the scores 0 and most_points
    highest_label varchar(40)   NOT NULL DEFAULT '',
    CONSTRAINT poll_settings_pkey PRIMARY KEY (question_id),
    CONSTRAINT poll_settings_question_id_fkey FOREIGN KEY (question_id) REFERENCES question (id)
    ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT poll_settings_marks_check
    CHECK (fewest_marks >= 1 AND (most_marks IS NULL OR most_marks >= fewest_marks)),
    CONSTRAINT poll_settings_method_check CHECK (
        (
            CASE method
                WHEN 'single' THEN most_marks = 1 AND num_nonnulls(most_points, budget) = 0
                WHEN 'multiple' THEN num_nonnulls(most_points, budget) = 0
                WHEN 'score' THEN most_points >= 1 AND most_points <= 10 AND num_nonnulls(most_marks, budget) = 0
                WHEN 'dots' THEN
                    budget >= 1 AND budget <= 100 AND most_points >= 1 AND most_points <= budget AND most_marks IS NULL
            END
        ) IS TRUE -- a check that is null passes
    )
);

-- A change of the settings raises the poll's edition. The rules of ballots can't change while there are any.
CREATE FUNCTION poll_settings_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old_rules record := ROW ('single'::text, 1::smallint, 1::smallint, NULL::smallint, NULL::smallint);
    new_rules record := old_rules;
    old_texts record := ROW (''::varchar, ''::varchar, ''::varchar);
    new_texts record := old_texts;
    has_ballots boolean;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        old_rules := ROW (OLD.method, OLD.fewest_marks, OLD.most_marks, OLD.most_points, OLD.budget);
        old_texts := ROW (OLD.description, OLD.lowest_label, OLD.highest_label);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        new_rules := ROW (NEW.method, NEW.fewest_marks, NEW.most_marks, NEW.most_points, NEW.budget);
        new_texts := ROW (NEW.description, NEW.lowest_label, NEW.highest_label);
    END IF;
    UPDATE question
    SET edition = edition + 1,
        revision = revision + 1,
        edited_at = CASE WHEN ballots > 0 AND old_texts <> new_texts THEN clock_timestamp() ELSE edited_at END
    WHERE id = coalesce(NEW.question_id, OLD.question_id)
    RETURNING ballots > 0 INTO has_ballots;
    -- The question's row is locked now: nobody votes.
    IF has_ballots AND old_rules IS DISTINCT FROM new_rules THEN
        RAISE EXCEPTION 'the rules of a poll that has ballots can''t be changed'
        USING ERRCODE = 'check_violation', TABLE = 'poll_settings', CONSTRAINT = 'poll_settings_rules_fixed';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER poll_settings_changed
AFTER INSERT OR UPDATE OR DELETE ON poll_settings
FOR EACH ROW EXECUTE FUNCTION poll_settings_changed();

CREATE TRIGGER poll_settings_emptied
AFTER TRUNCATE ON poll_settings
FOR EACH STATEMENT EXECUTE FUNCTION announce_anything();

-- A choice that is marked beside others can't be removed: nobody knows what its voters would have marked instead.
CREATE OR REPLACE FUNCTION choice_edited() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE question
    SET edition = edition + 1,
        revision = revision + 1,
        edited_at = CASE
            WHEN ballots > 0 AND (TG_OP <> 'UPDATE' OR NEW.choice_text <> OLD.choice_text) THEN clock_timestamp()
            ELSE edited_at
        END
    WHERE id IN (OLD.question_id, NEW.question_id);
    -- The question's row is locked now: nobody else is adding choices.
    IF NEW.question_id IS DISTINCT FROM OLD.question_id
        AND (SELECT count(*) > 100 FROM choice WHERE question_id = NEW.question_id)
    THEN
        RAISE EXCEPTION 'a poll has at most 100 choices'
        USING ERRCODE = 'check_violation', TABLE = 'choice', CONSTRAINT = 'choice_at_most_100';
    END IF;
    -- A poll that is being deleted is gone already.
    IF OLD.votes > 0 AND (NEW.id, NEW.question_id) IS DISTINCT FROM (OLD.id, OLD.question_id)
        AND EXISTS (
            SELECT FROM question
            JOIN poll_settings ON poll_settings.question_id = question.id
            WHERE question.id = OLD.question_id AND poll_settings.method <> 'single'
        )
    THEN
        RAISE EXCEPTION 'a choice that is marked beside others can''t be removed before the ballots'
        USING ERRCODE = 'check_violation', TABLE = 'choice', CONSTRAINT = 'choice_marked_beside_others';
    END IF;
    RETURN NULL;
END
$$;

-- The notification of votes has points, too, where there are any.
CREATE OR REPLACE FUNCTION announce_question() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    poll record;
    counts text;
BEGIN
    IF TG_OP = 'DELETE' OR OLD.id <> NEW.id THEN
        PERFORM pg_notify('polls', format('{"poll": %s}', OLD.id));
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    -- The same transaction may have changed it since, or deleted it.
    SELECT revision, edition, ballots INTO poll FROM question WHERE id = NEW.id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF OLD.edition = poll.edition THEN
        SELECT format(
            ', "ballots": %s, "votes": {%s}%s',
            poll.ballots,
            string_agg(format('"%s": %s', id, votes), ', '),
            ', "points": {' || string_agg(format('"%s": %s', id, points), ', ') FILTER (WHERE points > 0) || '}'
        )
        INTO counts
        FROM choice
        WHERE question_id = NEW.id;
        -- PostgreSQL refuses a notice of 8,000 bytes, and the transaction with it.
        IF octet_length(counts) > 7800 THEN
            counts := NULL;
        END IF;
    END IF;
    PERFORM pg_notify(
        'polls',
        format('{"poll": %s, "revision": %s, "edition": %s%s}', NEW.id, poll.revision, poll.edition, counts)
    );
    RETURN NULL;
END
$$;

DROP TRIGGER choice_recounted ON choice;

CREATE TRIGGER choice_recounted
AFTER UPDATE OF votes, points ON choice
FOR EACH ROW WHEN (
    (OLD.votes <> NEW.votes OR OLD.points <> NEW.points)
    AND current_setting('polls.recorder', true) IS DISTINCT FROM 'on'
)
EXECUTE FUNCTION choice_recounted();
