-- The folded texts and words of all polls. In a migration of its own: edits wait for the rows only, and votes for nothing.

SELECT write_words(ARRAY(SELECT id FROM question ORDER BY id));
