-- What the admin's list needs to find and sort many polls. Columns come first: they take the strongest lock, and votes
-- that wait for it must not stand between two weaker ones.

-- Polls by size. An index on `ballots` would be written at each vote; this one is when their number has grown by a
-- tenth: it is exact below 16, and eight steps for each doubling from there.
ALTER TABLE question
    ADD COLUMN magnitude smallint GENERATED ALWAYS AS (
        CASE WHEN ballots < 16 THEN ballots ELSE floor(8 * ln(ballots::double precision) / ln(2)) - 16 END
    ) STORED;

CREATE INDEX question_question_text_idx ON question (question_text, id);
CREATE INDEX question_closes_at_idx ON question (closes_at);
CREATE INDEX question_magnitude_idx ON question (magnitude, pub_date, id);

-- The words of a poll, in its question and its choices. Beside the question and not in it: each vote writes the
-- question's row anew.
CREATE TABLE question_words (
    question_id integer  NOT NULL,
    words       tsvector NOT NULL,
    CONSTRAINT question_words_pkey PRIMARY KEY (question_id),
    CONSTRAINT question_words_question_id_fkey FOREIGN KEY (question_id) REFERENCES question (id)
    ON UPDATE CASCADE ON DELETE CASCADE
);

-- A text as words: punctuation separates, so that no address or number of several parts is one word; and each Chinese
-- or Japanese character is a word, since nothing separates them.
CREATE FUNCTION words_in(sentence text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector(
        'pg_catalog.simple',
        regexp_replace(
            translate(normalize(sentence), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)),
            '([\u2E80-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF])', ' \1 ', 'g'
        )
    )
$$;

-- The polls that have all words that begin like those of `sentence`.
CREATE FUNCTION beginnings_of(sentence text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(format('''%s'':*', replace(lexeme, '''', '''''')), ' & '), '')::tsquery
    FROM unnest(words_in(sentence))
$$;

CREATE FUNCTION write_words(questions integer[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO question_words (question_id, words)
    SELECT
        question.id,
        words_in(concat_ws(
            ' ', question_text, (SELECT string_agg(choice_text, ' ') FROM choice WHERE question_id = question.id)
        ))
    FROM question
    WHERE id = ANY (questions)
    ON CONFLICT (question_id) DO UPDATE SET words = excluded.words
    WHERE question_words.words <> excluded.words
$$;

INSERT INTO question_words (question_id, words)
SELECT id, words_in(concat_ws(' ', question_text, choices))
FROM question
LEFT JOIN (
    SELECT question_id, string_agg(choice_text, ' ') AS choices FROM choice GROUP BY question_id
) AS offered ON offered.question_id = question.id;

CREATE INDEX question_words_words_idx ON question_words USING gin (words);

CREATE FUNCTION questions_written() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM write_words(ARRAY(SELECT id FROM written));
    RETURN NULL;
END
$$;

CREATE FUNCTION question_rewritten() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM write_words(ARRAY[NEW.id]);
    RETURN NULL;
END
$$;

CREATE FUNCTION choices_written() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM write_words(ARRAY(SELECT DISTINCT question_id FROM written));
    RETURN NULL;
END
$$;

CREATE FUNCTION choice_rewritten() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM write_words(ARRAY[OLD.question_id, NEW.question_id]);
    RETURN NULL;
END
$$;

-- None of these is fired by a vote.

CREATE TRIGGER questions_written
AFTER INSERT ON question REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION questions_written();

CREATE TRIGGER question_rewritten
AFTER UPDATE OF question_text ON question
FOR EACH ROW WHEN (OLD.question_text <> NEW.question_text) EXECUTE FUNCTION question_rewritten();

CREATE TRIGGER choices_added
AFTER INSERT ON choice REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION choices_written();

CREATE TRIGGER choices_removed
AFTER DELETE ON choice REFERENCING OLD TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION choices_written();

CREATE TRIGGER choice_rewritten
AFTER UPDATE OF choice_text, question_id ON choice
FOR EACH ROW WHEN (OLD.choice_text <> NEW.choice_text OR OLD.question_id <> NEW.question_id)
EXECUTE FUNCTION choice_rewritten();

-- A dump of the data alone brings the words along, which the rows above have written already.

CREATE FUNCTION words_restored() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM question_words WHERE question_id = NEW.question_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER words_restored
BEFORE INSERT ON question_words
FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION words_restored();
