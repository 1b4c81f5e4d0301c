-- Every change of a poll is announced on the channel `polls`, in the transaction that makes it, whatever program makes
-- it: so that what is kept in memory stays true. A notice is JSON:
--   {"poll": 1, "revision": 7, "edition": 2, "ballots": 3, "votes": {"1": 2, "2": 1}}  votes were counted
--   {"poll": 1, "revision": 8, "edition": 3}                                           it was edited: read it again
--   {"poll": 1}                                                                        it is gone
--   {}                                                                                 anything may have changed
-- The functions find their tables whatever the search path of their caller is: pg_restore has none.

CREATE FUNCTION announce_question() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    counts text;
BEGIN
    IF TG_OP = 'DELETE' OR OLD.id <> NEW.id THEN
        PERFORM pg_notify('polls', format('{"poll": %s}', OLD.id));
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    IF OLD.edition = NEW.edition THEN
        SELECT format(', "ballots": %s, "votes": {%s}', NEW.ballots, string_agg(format('"%s": %s', id, votes), ', '))
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
        format('{"poll": %s, "revision": %s, "edition": %s%s}', NEW.id, NEW.revision, NEW.edition, counts)
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER question_appeared
AFTER INSERT OR DELETE ON question
FOR EACH ROW EXECUTE FUNCTION announce_question();

CREATE TRIGGER question_changed
AFTER UPDATE ON question
FOR EACH ROW WHEN (OLD.revision <> NEW.revision OR OLD.id <> NEW.id) EXECUTE FUNCTION announce_question();

CREATE FUNCTION announce_anything() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('polls', '{}');
    RETURN NULL;
END
$$;

CREATE TRIGGER question_emptied
AFTER TRUNCATE ON question
FOR EACH STATEMENT EXECUTE FUNCTION announce_anything();

CREATE TRIGGER choice_emptied
AFTER TRUNCATE ON choice
FOR EACH STATEMENT EXECUTE FUNCTION announce_anything();

-- Counts that are corrected by hand are a change, too. What records ballots raises the revision itself, once for all
-- its choices, and says so: SET polls.recorder = 'on'.

CREATE FUNCTION question_recounted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END
$$;

CREATE TRIGGER question_recounted
BEFORE UPDATE OF ballots ON question
FOR EACH ROW WHEN (OLD.ballots <> NEW.ballots AND OLD.revision = NEW.revision)
EXECUTE FUNCTION question_recounted();

CREATE FUNCTION choice_recounted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE question
    SET revision = revision + 1
    WHERE id = NEW.question_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER choice_recounted
AFTER UPDATE OF votes ON choice
FOR EACH ROW WHEN (OLD.votes <> NEW.votes AND current_setting('polls.recorder', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION choice_recounted();

-- A poll has at most 100 choices. (Those that have more already may keep them.)

CREATE OR REPLACE FUNCTION choice_edited() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE question
    SET edition = edition + 1, revision = revision + 1
    WHERE id IN (OLD.question_id, NEW.question_id);
    -- The question's row is locked now: nobody else is adding choices.
    IF NEW.question_id IS DISTINCT FROM OLD.question_id
        AND (SELECT count(*) > 100 FROM choice WHERE question_id = NEW.question_id)
    THEN
        RAISE EXCEPTION 'a poll has at most 100 choices'
        USING ERRCODE = 'check_violation', TABLE = 'choice', CONSTRAINT = 'choice_at_most_100';
    END IF;
    RETURN NULL;
END
$$;
