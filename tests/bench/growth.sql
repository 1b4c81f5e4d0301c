-- Adds polls :first to :first + :polls - 1, with two choices and :ballots ballots each, for the benchmark of growth.
-- A salt that the number tells lets pgbench vote in them. Triggers are off: `polls verify` must find the counts exact.

SET statement_timeout = 0;
SET session_replication_role = replica;

INSERT INTO question (id, question_text, pub_date, ballots, revision, voter_salt)
SELECT n, 'Question ' || n || '?', now() - interval '1 day', :ballots, 1, decode(md5(n::text), 'hex')
FROM generate_series(:first, :first + :polls - 1) AS poll (n);

INSERT INTO choice (id, question_id, choice_text, position, votes)
SELECT 10 * n + place, n, 'Choice ' || place, place, (:ballots + 2 - place) / 2
FROM generate_series(:first, :first + :polls - 1) AS poll (n)
CROSS JOIN generate_series(1, 2) AS place;

-- In no order of voters, as they vote: the pages of the index end as full as they then are.
INSERT INTO ballot (question_id, voter, marks)
SELECT n, uuid_send(gen_random_uuid()), ARRAY[10 * n + 1 + ballot % 2]
FROM generate_series(:first, :first + :polls - 1) AS poll (n)
CROSS JOIN generate_series(0, :ballots - 1) AS ballot;

SET session_replication_role = origin;
NOTIFY polls, '{}';
