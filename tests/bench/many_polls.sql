-- 200,000 polls of ten years for the benchmark of the admin's list: a third of them closed, some scheduled, with words
-- that repeat. Their numbers of ballots are made up, without rows in `ballot`.

SET statement_timeout = 0;
ALTER TABLE question DISABLE TRIGGER USER;
ALTER TABLE choice DISABLE TRIGGER USER;

CREATE TEMPORARY TABLE word AS
SELECT n, substr(md5(n::text), 1, 3 + n % 6) AS letters FROM generate_series(0, 4999) AS n;
CREATE INDEX ON word (n);

INSERT INTO question (question_text, pub_date, closes_at, ballots)
SELECT
    (
        SELECT initcap(string_agg(letters, ' '))
        FROM word
        WHERE word.n IN ((poll.n * 7919) % 5000, (poll.n * 104729) % 5000, (poll.n / 3) % 5000, (poll.n * 17) % 100)
    ) || ' ' || poll.n || '?',
    now() + interval '30 days' - poll.n * interval '1577 seconds',
    CASE WHEN poll.n % 3 = 0 THEN now() + interval '37 days' - poll.n * interval '1577 seconds' END,
    CASE WHEN poll.n % 2 = 0 THEN (poll.n * 7919) % 20 ELSE (poll.n * 7919) % 5000 END
FROM generate_series(1::bigint, 200000) AS poll (n);

INSERT INTO choice (question_id, choice_text, position)
SELECT question.id, (ARRAY['Yes', 'No', 'Maybe'])[place] || ' ' || word.letters, place
FROM question
CROSS JOIN generate_series(1, 3) AS place
JOIN word ON word.n = (question.id * place) % 5000
WHERE NOT EXISTS (SELECT FROM choice WHERE choice.question_id = question.id);

ALTER TABLE question ENABLE TRIGGER USER;
ALTER TABLE choice ENABLE TRIGGER USER;

SELECT write_words(ARRAY(SELECT id FROM question)) \gset ignored_

-- Accounts for failed sign-ins, with the password hash of the first account.
INSERT INTO account (username, password_hash)
SELECT 'known' || n, password_hash
FROM generate_series(1, 20) AS n
CROSS JOIN (SELECT password_hash FROM account ORDER BY id LIMIT 1) AS first;

VACUUM ANALYZE;
