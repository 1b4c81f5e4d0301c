-- Searching finds words in the middle of words: "own" finds "Downtown". And history is listed by person.

-- Edits wait until the words of all polls are written anew; votes, pages and searches go on.
LOCK TABLE question_words IN SHARE ROW EXCLUSIVE MODE;

-- What a text is found by: from each letter of each word on, the twelve letters that follow. 20,000 of these are more
-- than the longest texts have, except for ligatures that fold to several letters; with 4 bytes a letter they have 960 kB,
-- and a tsvector may have 1 MB.
CREATE FUNCTION parts_of_words_in(sentence text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(ARRAY(
        SELECT substr(word, letter, 12)
        FROM unnest(tsvector_to_array(words_in(sentence))) AS word
        CROSS JOIN generate_series(1, length(word)) AS letter
        LIMIT 20000
    ))
$$;

-- A query for texts that have each word of `sentence` in one of their words. Of a word of more than twelve letters, all
-- parts of twelve letters are searched.
CREATE OR REPLACE FUNCTION beginnings_of(sentence text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(format('''%s'':*', replace(substr(word, letter, 12), '''', '''''')), ' & '), '')::tsquery
    FROM unnest(tsvector_to_array(words_in(sentence))) AS word
    CROSS JOIN generate_series(1, greatest(1, length(word) - 11)) AS letter
$$;

CREATE OR REPLACE FUNCTION write_words(questions integer[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO question_words (question_id, words, folded)
    SELECT
        question.id,
        parts_of_words_in(concat_ws(
            ' ', question_text, (SELECT string_agg(choice_text, ' ') FROM choice WHERE question_id = question.id)
        )),
        folded(question_text)
    FROM question
    WHERE id = ANY (questions)
    ON CONFLICT (question_id) DO UPDATE SET words = excluded.words, folded = excluded.folded
    WHERE (question_words.words, question_words.folded) IS DISTINCT FROM (excluded.words, excluded.folded)
$$;

SELECT write_words(ARRAY(SELECT id FROM question ORDER BY id));

CREATE INDEX history_actor_idx ON history (actor, id);
