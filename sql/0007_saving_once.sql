-- A form that adds a poll has a random key. Sent twice, by a double click or after going back, it adds one poll.

ALTER TABLE question
    ADD COLUMN form_key bytea,
    ADD CONSTRAINT question_form_key_key UNIQUE (form_key);
