-- Polls that anyone may ask: at an address of their own, outside the list, with an owner who is known by a key.

-- A domain: its check is evaluated for values that are written, a check of the table for each row that a vote writes.
CREATE DOMAIN address AS varchar(40) CONSTRAINT address_check CHECK (VALUE ~ '^[a-z][a-z0-9-]{2,39}$');

ALTER TABLE question
    ADD COLUMN slug      address,
    ADD COLUMN is_listed boolean NOT NULL DEFAULT true,
    ADD COLUMN hidden_at timestamptz,
    ADD CONSTRAINT question_slug_key UNIQUE (slug);

-- The public list: polls that it doesn't show must not stand before those that it does.
CREATE INDEX question_listed_idx ON question (pub_date DESC, id DESC) WHERE is_listed AND hidden_at IS NULL;

ALTER TABLE poll_settings
    ADD COLUMN owner_hash bytea,
    ADD COLUMN asked_at   timestamptz,
    ADD CONSTRAINT poll_settings_owner_hash_key UNIQUE (owner_hash),
    ADD CONSTRAINT poll_settings_owner_hash_check CHECK (octet_length(owner_hash) = 32);

DROP TRIGGER question_edited ON question;

CREATE TRIGGER question_edited
BEFORE UPDATE OF question_text, pub_date, closes_at, voter_salt, edited_at, slug, is_listed, hidden_at ON question
FOR EACH ROW EXECUTE FUNCTION question_edited();

-- A poll is found by its address, too.
CREATE OR REPLACE FUNCTION write_words(questions integer[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO question_words (question_id, words, folded)
    SELECT
        question.id,
        parts_of_words_in(concat_ws(
            ' ', question_text, slug, (SELECT string_agg(choice_text, ' ') FROM choice WHERE question_id = question.id)
        )),
        folded(question_text)
    FROM question
    WHERE id = ANY (questions)
    ON CONFLICT (question_id) DO UPDATE SET words = excluded.words, folded = excluded.folded
    WHERE (question_words.words, question_words.folded) IS DISTINCT FROM (excluded.words, excluded.folded)
$$;

DROP TRIGGER question_rewritten ON question;

CREATE TRIGGER question_rewritten
AFTER UPDATE OF question_text, slug ON question
FOR EACH ROW WHEN (OLD.question_text <> NEW.question_text OR OLD.slug IS DISTINCT FROM NEW.slug)
EXECUTE FUNCTION question_rewritten();
