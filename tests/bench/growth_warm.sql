-- Adds :ballots to poll :poll, to write to nearly all pages of its index: the first change of a page after a checkpoint
-- writes the whole page to the log.

SET statement_timeout = 0;
SET session_replication_role = replica;

INSERT INTO ballot (question_id, voter, marks)
SELECT :poll, uuid_send(gen_random_uuid()), ARRAY[10 * :poll + 1]
FROM generate_series(1, :ballots);

UPDATE choice SET votes = votes + :ballots WHERE id = 10 * :poll + 1;
UPDATE question SET ballots = ballots + :ballots, revision = revision + 1 WHERE id = :poll;

SET session_replication_role = origin;
NOTIFY polls, '{}';
