-- A change of a poll is announced at the commit, as it was committed, and once: until now each UPDATE of its row announced
-- what the transaction had made of it by then, such as counts without the ballots of a choice that was still there.
-- Dropping the trigger comes first: it takes the strongest lock.

DROP TRIGGER question_changed ON question;

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
        SELECT format(', "ballots": %s, "votes": {%s}', poll.ballots, string_agg(format('"%s": %s', id, votes), ', '))
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

CREATE CONSTRAINT TRIGGER question_changed
AFTER UPDATE ON question
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.revision <> NEW.revision OR OLD.id <> NEW.id) EXECUTE FUNCTION announce_question();
