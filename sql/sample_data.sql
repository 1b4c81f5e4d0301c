-- Three sample polls without votes, published one to three days ago. Those whose question exists already are skipped.

WITH sample (question_text, age, choices) AS (
    VALUES
        (
            'What''s new?',
            interval '1 day',
            ARRAY['Not much', 'The sky', 'Just hacking again']
        ),
        (
            'Where should the next meet-up take place?',
            interval '2 days',
            ARRAY['In the park', 'At the library', 'In a café', 'Online']
        ),
        (
            'Which framework do you reach for first when a customer asks for a small web application?',
            interval '3 days',
            ARRAY['aiohttp', 'Django', 'Flask', 'FastAPI', 'Something else']
        )
),
added AS (
    INSERT INTO question (question_text, pub_date)
    SELECT question_text, now() - age
    FROM sample
    WHERE NOT EXISTS (SELECT FROM question WHERE question.question_text = sample.question_text)
    ORDER BY age DESC
    RETURNING id, question_text
)
INSERT INTO choice (question_id, choice_text, position)
SELECT added.id, offered.choice_text, offered.position
FROM added
JOIN sample USING (question_text)
CROSS JOIN LATERAL unnest(sample.choices) WITH ORDINALITY AS offered (choice_text, position)
ORDER BY added.id, offered.position;
