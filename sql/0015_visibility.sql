-- Who may see the results of a poll, from how many ballots on, and the promise that its owner sees them no earlier.

ALTER TABLE poll_settings
    ADD COLUMN results      text    NOT NULL DEFAULT 'always',
    ADD COLUMN results_from integer NOT NULL DEFAULT 0, -- ballots
    ADD COLUMN is_sealed    boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT poll_settings_results_check CHECK (results IN ('always', 'after_vote', 'after_close', 'owner')),
    ADD CONSTRAINT poll_settings_results_from_check CHECK (results_from >= 0),
    ADD CONSTRAINT poll_settings_is_sealed_check CHECK (NOT is_sealed OR results IN ('after_close', 'owner'));

-- While there are ballots, who sees the results of a sealed poll is fixed, too.
CREATE OR REPLACE FUNCTION poll_settings_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old_rules record := ROW ('single'::text, 1::smallint, 1::smallint, NULL::smallint, NULL::smallint);
    new_rules record := old_rules;
    old_texts record := ROW (''::varchar, ''::varchar, ''::varchar);
    new_texts record := old_texts;
    old_sight record := ROW (false, 'always'::text, 0);
    new_sight record := old_sight;
    was_sealed boolean := false;
    has_ballots boolean;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        old_rules := ROW (OLD.method, OLD.fewest_marks, OLD.most_marks, OLD.most_points, OLD.budget);
        old_texts := ROW (OLD.description, OLD.lowest_label, OLD.highest_label);
        old_sight := ROW (OLD.is_sealed, OLD.results, OLD.results_from);
        was_sealed := OLD.is_sealed;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        new_rules := ROW (NEW.method, NEW.fewest_marks, NEW.most_marks, NEW.most_points, NEW.budget);
        new_texts := ROW (NEW.description, NEW.lowest_label, NEW.highest_label);
        new_sight := ROW (NEW.is_sealed, NEW.results, NEW.results_from);
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
    IF has_ballots AND was_sealed AND old_sight <> new_sight THEN
        RAISE EXCEPTION 'who sees the results of a sealed poll that has ballots can''t be changed'
        USING ERRCODE = 'check_violation', TABLE = 'poll_settings', CONSTRAINT = 'poll_settings_sealed';
    END IF;
    RETURN NULL;
END
$$;

-- A sealed poll that has closed stays closed: its owner has seen the results, and voting would go on.
CREATE OR REPLACE FUNCTION question_edited() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.edition := OLD.edition + 1;
    NEW.revision := OLD.revision + 1;
    IF NEW.question_text <> OLD.question_text AND NEW.ballots > 0 THEN
        NEW.edited_at := clock_timestamp();
    END IF;
    IF NEW.ballots > 0 AND OLD.closes_at <= now() AND (NEW.closes_at IS NULL OR NEW.closes_at > now())
        AND EXISTS (SELECT FROM poll_settings WHERE question_id = NEW.id AND is_sealed)
    THEN
        RAISE EXCEPTION 'a sealed poll that has closed can''t be reopened before the ballots are cleared'
        USING ERRCODE = 'check_violation', TABLE = 'question', CONSTRAINT = 'question_sealed';
    END IF;
    RETURN NEW;
END
$$;
