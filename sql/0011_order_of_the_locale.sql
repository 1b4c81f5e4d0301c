-- The order by text no longer depends on the database's locale. In a migration of its own: this takes the strongest lock
-- on `question`, for a moment.

DROP INDEX question_question_text_idx;
